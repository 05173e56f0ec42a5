import Foundation
import TestSupport

/// tokencachectl, run as a user would run it.
enum ControlProgram {
    /// - Parameter folder: Of the program; another one has another daemon beside it.
    static func run(
        _ arguments: [String], input: String = "", in folder: String = PackageFolder.products, outputPath: String? = nil
    ) throws -> Tool {
        try Tool.run(
            "\(folder)/tokencachectl", arguments, input: input, environment: ["PATH": "/proc/none", "TZ": "UTC"],
            inherits: false, outputPath: outputPath)
    }
}

extension Tool {
    /// The output as JSON.
    func json() throws -> NSObject? {
        try JSONSerialization.jsonObject(with: Data(output.utf8), options: .fragmentsAllowed) as? NSObject
    }
}
