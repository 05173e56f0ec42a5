import Foundation

/// Three Sentinels that watch a master, each on a loopback port.
public final class Sentinels: Sendable {
    public let members: [SiteMember]
    /// The name of a master that nobody named otherwise.
    public static let masterName = "main"
    private let name: String

    /// Of all of them.
    public var url: String {
        "sentinel://" + members.map { "127.0.0.1:\($0.port)" }.joined(separator: ",") + "/\(name)"
    }

    /// - Parameters:
    ///   - folder: where each has a folder.
    ///   - master: its port.
    ///   - name: of the master; Sentinels that watch one server under one name take each other for their fellows.
    ///   - options: lines of their files of configuration, after `sentinel monitor`.
    ///   - transport: how they listen, and reach the master; nil: in the clear.
    init(
        in folder: String, master: Int, name: String = masterName, _ options: [String],
        by transport: SiteTransport? = nil
    ) throws {
        self.name = name
        let transport = try transport ?? SiteTransport(nil)
        members = try (0..<3).map { number in
            let port = try FreePort.find()
            let place = "\(folder)/s\(number)"
            try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: true)
            let lines =
                transport.lines(port: port)
                + ["dir \(place)", "sentinel monitor \(name) 127.0.0.1 \(master) 2"] + options
            try lines.joined(separator: "\n").write(toFile: "\(place)/s.conf", atomically: true, encoding: .utf8)
            return try SiteMember(port: port, ["\(place)/s.conf", "--sentinel"], name: "sentinel", folder: place)
        }
    }

    deinit { stop() }

    /// Ends them.
    public func stop() { for member in members { member.kill9() } }
}
