import Foundation

/// The package under test: its sources and its programs.
public enum PackageFolder {
    /// Where `Package.swift` is.
    public static let path = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().path

    /// The path of a file of it.
    public static func file(_ name: String) -> String { "\(path)/\(name)" }

    /// The text of a file of it.
    public static func text(_ name: String) throws -> String {
        try String(contentsOfFile: file(name), encoding: .utf8)
    }

    /// Where the build puts its programs: the test program's own folder.
    public static let products: String = {
        // Where a program of the toolchain loads the tests, their path is one of its arguments.
        let bundle = CommandLine.arguments.first { $0.hasSuffix(".xctest") }
        let own = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        return URL(filePath: bundle ?? own ?? ".").deletingLastPathComponent().path
    }()

    /// The path of a program that the build made.
    public static func program(_ name: String) -> String { "\(products)/\(name)" }
}
