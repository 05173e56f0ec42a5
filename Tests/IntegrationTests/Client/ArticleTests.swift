import Foundation
import TestSupport
import Testing

/// The code that the client library's documentation prints is code: all of it together, as it stands, in Swift 6.
@Suite("Client library's article")
struct ArticleTests {
    @Test(
        "the printed code compiles",
        arguments: ["Sources/TokenCacheClient/TokenCacheClient.docc/FastCGIWorker.md", "README.md"])
    func compiles(page: String) throws {
        let folder = try TemporaryFolder()
        let text = try PackageFolder.text(page)
        let blocks = text.components(separatedBy: "```swift\n").dropFirst().map { $0.components(separatedBy: "```")[0] }
        let code = blocks.filter { !$0.hasPrefix("// swift-tools-version") }
        try #require(code.contains { $0.contains("import TokenCacheClient") && $0.contains("/run/tokencached/") })
        let file = folder.file("Worker.swift")
        try code.joined(separator: "\n").write(toFile: file, atomically: true, encoding: .utf8)
        let modules = ["CHiredis", "CLinux"].flatMap {
            ["-Xcc", "-fmodule-map-file=\(PackageFolder.path)/Sources/\($0)/module.modulemap"]
        }
        let compiler = try ChildProcess(
            "/usr/bin/env",
            [
                "swiftc", "-typecheck", "-parse-as-library", "-swift-version", "6", "-warnings-as-errors",
                "-module-cache-path", folder.file("modules"), "-I", PackageFolder.program("Modules"),
            ] + modules + [file], name: "swiftc", folder: folder.path)
        let end = try compiler.wait(.seconds(120))
        #expect(end == .exited(0), "\(compiler.errors)")
    }
}
