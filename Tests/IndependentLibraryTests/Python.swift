import Foundation
import TestSupport

/// The Python of a virtual environment with libraries that know nothing of tokencached.
///
/// It is made in the build folder by the first run, which needs the package index that `pip` is configured for.
struct Python {
    private static let sources = PackageFolder.file("Tests/IndependentLibraryTests")

    private let program: String
    private let folder: TemporaryFolder

    init() throws {
        folder = try TemporaryFolder()
        let environment = PackageFolder.program("independent-libraries")
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
        let tool = try Tool.run(
            program, arguments, in: folder.path, input: String(decoding: input, as: UTF8.self), limit: limit)
        guard tool.end == .exited(0) else {
            throw HarnessFailure("\(program) \(arguments.joined(separator: " ")): \(tool.errors)")
        }
        return tool.output
    }
}
