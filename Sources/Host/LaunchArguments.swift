internal import Glibc

/// The command line as the kernel passed it.
///
/// Swift finds its own, `CommandLine.arguments`, by walking back from `environ`. A preloaded library that has called
/// `setenv` by then, as agents for tracing do, has moved that elsewhere, and every argument is lost: a daemon would
/// start with its defaults instead of what it was told.
///
/// Source: proc_pid_cmdline(5).
public enum LaunchArguments {
    /// The name under which the program was started, and what follows it. Bytes that are not UTF-8 are replaced.
    public static let all: [String] = {
        // Where /proc is not mounted, Swift's are the best there are.
        guard let bytes = read("/proc/self/cmdline"), !bytes.isEmpty else { return CommandLine.arguments }
        // Each word ends with a zero byte.
        return bytes.split(separator: 0, omittingEmptySubsequences: false).dropLast().map {
            String(decoding: $0, as: UTF8.self)
        }
    }()

    /// What follows the program's name.
    public static var words: [String] { Array(all.dropFirst()) }

    private static func read(_ path: String) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        // The kernel bounds a command line (execve(2)): a quarter of the stack's limit.
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 16 << 10)
        while true {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { return nil }
            if count == 0 { return bytes }
            bytes += chunk[..<count]
        }
    }
}
