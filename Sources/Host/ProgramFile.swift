internal import Glibc

/// The file that this process runs.
public enum ProgramFile {
    /// Its absolute path, links resolved. Empty where /proc is not mounted; ends in ` (deleted)` where the file was
    /// replaced or removed since. Bytes that are not UTF-8 are replaced.
    ///
    /// Source: proc_pid_exe(5).
    public static var path: String {
        var path = [UInt8](repeating: 0, count: 4_096)
        let count = path.withUnsafeMutableBytes { buffer in
            buffer.baseAddress.map { readlink("/proc/self/exe", $0.assumingMemoryBound(to: CChar.self), buffer.count) }
                ?? 0
        }
        return count > 0 ? String(decoding: path.prefix(count), as: UTF8.self) : ""
    }
}
