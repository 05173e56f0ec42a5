import Foundation
import Synchronization

/// A folder of its own for one test, with a path short enough for Unix sockets in it (107 bytes is the limit).
/// It goes with the object, unless the environment says `KEEP_TMP`.
public final class TemporaryFolder: Sendable {
    public let path: String
    private static let next = Atomic<Int>(1)

    /// Set to anything, it keeps every folder for a look at it afterwards.
    public static var isKept: Bool { ProcessInfo.processInfo.environment["KEEP_TMP"] != nil }

    public init() throws {
        let root = try Guardian.shared().root
        let number = Self.next.wrappingAdd(1, ordering: .relaxed).oldValue
        path = "\(root)/\(number)"
        guard mkdir(path, 0o700) == 0 else { throw HarnessFailure.system("mkdir \(path)") }
    }

    deinit {
        if Self.isKept {
            FileHandle.standardError.write(Data("kept: \(path)\n".utf8))
        } else {
            try? FileManager.default.removeItem(atPath: path)
        }
    }

    /// The path of a file in it, which need not exist.
    public func file(_ name: String) -> String { "\(path)/\(name)" }

    /// The names of what is in it, sorted.
    public var entries: [String] {
        get throws { try FileManager.default.contentsOfDirectory(atPath: path).sorted() }
    }

    /// A folder in it, made if it is not there.
    public func folder(_ name: String) throws -> String {
        let folder = file(name)
        guard mkdir(folder, 0o700) == 0 || errno == EEXIST else { throw HarnessFailure.system("mkdir \(folder)") }
        return folder
    }

    /// Every regular file below it, except what lies in a folder named `except`.
    func files(except: String) -> [String] {
        guard let walk = FileManager.default.enumerator(atPath: path) else { return [] }
        var found: [String] = []
        while let name = walk.nextObject() as? String {
            if name == except || name.hasPrefix(except + "/") { continue }
            if walk.fileAttributes?[.type] as? FileAttributeType == .typeRegular { found.append(file(name)) }
        }
        return found
    }

    /// Every Unix socket below a folder: where an embedded Redis listens is the daemon's own business.
    static func sockets(below folder: String) -> [String] {
        guard let walk = FileManager.default.enumerator(atPath: folder) else { return [] }
        var found: [String] = []
        while let name = walk.nextObject() as? String {
            if walk.fileAttributes?[.type] as? FileAttributeType == .typeSocket { found.append("\(folder)/\(name)") }
        }
        return found
    }
}

/// Watches over the test process from outside: when that ends, for whatever reason (a trap, a kill -9), it kills every
/// process that was started below the folder of this run, daemon's children too, and removes the folder.
///
/// It notices the end by a pipe whose other end nobody but the test process holds.
final class Guardian: Sendable {
    let root: String
    private let pipe: Int32

    private static let instance = Mutex<Guardian?>(nil)

    static func shared() throws -> Guardian {
        try instance.withLock { instance in
            if let instance { return instance }
            let guardian = try Guardian()
            instance = guardian
            return guardian
        }
    }

    private init() throws {
        root = "/tmp/tct\(getpid())"
        try? FileManager.default.removeItem(atPath: root)
        guard mkdir(root, 0o700) == 0 else { throw HarnessFailure.system("mkdir \(root)") }
        var ends: [Int32] = [0, 0]
        guard Glibc.pipe(&ends) == 0 else { throw HarnessFailure.system("pipe") }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        pipe = ends[1]
        let script = """
            trap '' HUP INT TERM
            read -r _
            for process in /proc/[0-9]*; do
                case "$(readlink "$process/cwd")" in "$ROOT"|"$ROOT"/*) kill -9 "${process#/proc/}" ;; esac
                if grep -qsF "$ROOT/" "$process/cmdline"; then kill -9 "${process#/proc/}"; fi
            done
            if [ -z "$KEEP_TMP" ]; then rm -rf "$ROOT"; fi
            """
        let environment = [
            "PATH=/usr/bin:/bin", "ROOT=\(root)", TemporaryFolder.isKept ? "KEEP_TMP=1" : "KEEP_TMP=",
        ]
        _ = try spawn(
            "/bin/sh", ["-c", script], environment: environment, folder: "/", input: .descriptor(ends[0]),
            output: "/dev/null", errors: "/dev/null")
        close(ends[0])
    }
}
