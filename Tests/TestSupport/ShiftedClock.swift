import Foundation

/// A program that sees another time than this host's, by Debian's package faketime.
public enum ShiftedClock {
    /// What a process is started with, for its clock to differ.
    /// - Parameter offset: as `-20s`.
    public static func environment(_ offset: String) throws -> [String: String] {
        let library = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1"
        guard FileManager.default.fileExists(atPath: library) else {
            throw HarnessFailure("\(library) is missing: apt-get install faketime")
        }
        return ["LD_PRELOAD": library, "FAKETIME": offset, "FAKETIME_DONT_FAKE_MONOTONIC": "1"]
    }

    /// What the library leaves in shared memory when its process is killed.
    static func clear(_ pid: Int32) {
        for name in ["faketime_shm_", "sem.faketime_sem_"] { unlink("/dev/shm/\(name)\(pid)") }
    }
}
