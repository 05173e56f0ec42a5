import Foundation

/// A program that is run to its end: what it printed, and how it ended. One of somebody else's, redis-cli or python3, or
/// one of ours beside the daemon.
public struct Tool: Sendable {
    public let end: ProcessEnd
    public let output: String
    public let errors: String

    /// The exit status; a signal shows as 1000 and its number.
    public var status: Int32 {
        switch end {
        case .exited(let status): status
        case .killed(let signal): 1000 + signal
        }
    }

    /// Runs it in the stage's client folder and waits for its end; `input` is its standard input.
    public static func run(
        _ stage: Stage, _ program: String, _ arguments: [String], input: String? = nil,
        limit: Duration = .seconds(40)
    ) throws -> Tool {
        let folder = try stage.clientFolder()
        return try run(
            program, arguments, in: folder, input: input, environment: ["HOME": folder, "TERM": "dumb"], limit: limit)
    }

    /// Runs it in a folder; files stand for the three streams, so that nothing can block or raise SIGPIPE.
    /// - Parameters:
    ///   - folder: Nil makes one, which goes when it has ended.
    ///   - environment: Beside the tests' own, where it inherits that.
    ///   - outputPath: What its standard output is; nil makes a file.
    public static func run(
        _ program: String, _ arguments: [String], in folder: String? = nil, input: String? = nil,
        environment: [String: String] = [:], inherits: Bool = true, outputPath: String? = nil,
        limit: Duration = .seconds(300)
    ) throws -> Tool {
        let own = folder == nil ? try TemporaryFolder() : nil
        defer { withExtendedLifetime(own) {} }
        let folder = folder ?? own?.path ?? "/"
        let name = "tool\(UInt32.random(in: 0...UInt32.max))"
        var inputFile: String?
        if let input {
            let path = "\(folder)/\(name).in"
            try Data(input.utf8).write(to: URL(fileURLWithPath: path))
            inputFile = path
        }
        let child = try ChildProcess(
            program, arguments, name: name, folder: folder, inputFile: inputFile, environment: environment,
            inherits: inherits, outputPath: outputPath)
        let end = try child.wait(limit)
        // What somebody gave is not read: the end of /dev/full never comes.
        return Tool(end: end, output: outputPath == nil ? child.output : "", errors: child.errors)
    }
}
