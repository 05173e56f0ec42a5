import Foundation
import TestSupport

/// The Python of a virtual environment with libraries that know nothing of tokencached.
///
/// It is made in the build folder by the first run, which needs the package index that `pip` is configured for.
struct Python {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    private static let sources = (#filePath as NSString).deletingLastPathComponent
    /// That of the test program, which is in the build folder.
    private static let products = (CommandLine.arguments.first { $0.hasSuffix(".xctest") } ?? CommandLine.arguments[0])
        .split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")

    private let program: String
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
        let environment = "\(Self.products)/independent-libraries"
        program = try Self.run(
            "/bin/sh", ["\(Self.sources)/environment.sh", environment], in: folder, limit: .seconds(300)
        ).trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// Runs `sealed.py`; its standard output.
    func sealed(_ arguments: String..., input: Data = Data()) throws -> String {
        try Self.run(program, ["\(Self.sources)/sealed.py"] + arguments, in: folder, input: input, limit: .seconds(120))
    }

    private static func run(
        _ program: String, _ arguments: [String], in folder: TemporaryFolder, input: Data = Data(), limit: Duration
    ) throws -> String {
        let name = "python\(UInt32.random(in: 0...UInt32.max))"
        let inputFile = folder.file("\(name).in")
        try input.write(to: URL(fileURLWithPath: inputFile))
        let child = try ChildProcess(program, arguments, name: name, folder: folder.path, inputFile: inputFile)
        guard try child.wait(limit) == .exited(0) else {
            throw Failure(description: "\(program) \(arguments.joined(separator: " ")): \(child.errors)")
        }
        return child.output
    }
}
