import Foundation

/// Hosts of their own addresses on one machine, and a switch between them that can be cut in two: network namespaces, which
/// end with the processes that hold them.
public final class HostNetwork: Sendable {
    private let hosts: [ChildProcess]
    private let wires: ChildProcess

    /// Makes hosts `10.77.0.1`, `10.77.0.2`, …, all of which reach each other. As root.
    public init(_ count: Int, in folder: String) throws {
        let hold = { (name: String) in
            try ChildProcess("unshare", ["--net", "sleep", "3600"], name: name, folder: folder)
        }
        wires = try hold("switch")
        hosts = try (0..<count).map { try hold("host\($0)") }
        let own = try Self.namespace(of: ProcessInfo.processInfo.processIdentifier)
        for holder in hosts + [wires] {
            _ = try eventually("a namespace of its own") {
                let found = try? Self.namespace(of: holder.pid)
                return found == nil || found == own ? nil : true
            }
        }
        for bridge in Side.allCases {
            try Self.run(in: wires, "ip", "link", "add", bridge.rawValue, "type", "bridge")
            try Self.run(in: wires, "ip", "link", "set", bridge.rawValue, "up")
        }
        for (number, host) in hosts.enumerated() {
            try Self.run(
                in: wires, "ip", "link", "add", "p\(number)", "type", "veth", "peer", "name", "eth0", "netns",
                "\(host.pid)")
            try Self.run(in: wires, "ip", "link", "set", "p\(number)", "up")
            try join(number, .one)
            for words in [
                ["addr", "add", "\(address(number))/24", "dev", "eth0"], ["link", "set", "eth0", "up"],
                ["link", "set", "lo", "up"],
            ] {
                try Self.run(in: host, ["ip"] + words)
            }
        }
    }

    private enum Side: String, CaseIterable { case one, other }

    public func address(_ host: Int) -> String { "10.77.0.\(host + 1)" }

    /// What a program is started with on a host.
    public func launcher(_ host: Int) -> [String] { ["nsenter", "--net=/proc/\(hosts[host].pid)/ns/net"] }

    /// From now on these hosts reach each other, and nobody else.
    public func cutOff(_ hosts: [Int]) throws { for host in hosts { try join(host, .other) } }

    private func join(_ host: Int, _ side: Side) throws {
        try Self.run(in: wires, "ip", "link", "set", "p\(host)", "master", side.rawValue)
    }

    deinit { stop() }

    public func stop() { for holder in hosts + [wires] { holder.kill9() } }

    private static func namespace(of process: Int32) throws -> String {
        try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(process)/ns/net")
    }

    private static func run(in holder: ChildProcess, _ words: String...) throws { try run(in: holder, words) }

    private static func run(in holder: ChildProcess, _ words: [String]) throws {
        let tool = try Tool.run("nsenter", ["--net=/proc/\(holder.pid)/ns/net"] + words)
        guard tool.status == 0 else { throw HarnessFailure("\(words.joined(separator: " ")): \(tool.errors)") }
    }
}
