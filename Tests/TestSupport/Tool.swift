import Foundation

/// A program of somebody else's that is run against the daemon: redis-cli, redis-benchmark, python3.
public struct Tool: Sendable {
    public let end: ProcessEnd
    public let output: String
    public let errors: String

    /// Runs it in the stage's client folder and waits for its end; `input` is its standard input.
    public static func run(
        _ stage: Stage, _ program: String, _ arguments: [String], input: String? = nil,
        limit: Duration = .seconds(40)
    ) throws -> Tool {
        let folder = try stage.clientFolder()
        let name = "tool\(UInt32.random(in: 0...UInt32.max))"
        var inputFile: String?
        if let input {
            let path = "\(folder)/\(name).in"
            try Data(input.utf8).write(to: URL(fileURLWithPath: path))
            inputFile = path
        }
        let child = try ChildProcess(
            program, arguments, name: name, folder: folder, inputFile: inputFile,
            environment: ["HOME": folder, "TERM": "dumb"])
        let end = try child.wait(limit)
        return Tool(end: end, output: child.output, errors: child.errors)
    }
}
