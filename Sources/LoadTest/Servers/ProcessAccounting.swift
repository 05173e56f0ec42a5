internal import Glibc

/// What the kernel tells about a process.
enum ProcessAccounting {
    /// CPU time used so far, all threads, in the program and in the kernel: seconds. Nil if the process is gone.
    ///
    /// Source: the first number of `/proc/PID/task/*/schedstat`, nanoseconds (sched-stats.rst), of the threads there are; where
    /// the kernel does not keep it, utime and stime of `/proc/PID/stat` in clock ticks (proc(5)).
    static func cpuSeconds(of process: Int32) -> Double? {
        scheduledSeconds(of: process) ?? tickedSeconds(of: process)
    }

    private static func scheduledSeconds(of process: Int32) -> Double? {
        let tasks = "/proc/\(process)/task"
        let sum = names(in: tasks).reduce(0) { sum, thread in
            sum + (readFile("\(tasks)/\(thread)/schedstat").flatMap(parseScheduledSeconds) ?? 0)
        }
        // None counted: the kernel was built or started without.
        return sum > 0 ? sum : nil
    }

    static func parseScheduledSeconds(_ text: String) -> Double? {
        text.split(whereSeparator: \.isWhitespace).first.flatMap { Double($0) }.map { $0 / 1e9 }
    }

    private static func tickedSeconds(of process: Int32) -> Double? {
        guard let text = readFile("/proc/\(process)/stat") else { return nil }
        return parseCPUSeconds(text, ticksPerSecond: Double(sysconf(Int32(_SC_CLK_TCK))))
    }

    /// What that file's text says. The name in it may hold spaces and parentheses: counting starts behind it.
    static func parseCPUSeconds(_ text: String, ticksPerSecond: Double) -> Double? {
        guard let end = text.lastIndex(of: ")"), ticksPerSecond > 0 else { return nil }
        let fields = text[text.index(after: end)...].split(separator: " ")
        guard fields.count > 12, let user = Double(fields[11]), let system = Double(fields[12]) else { return nil }
        return (user + system) / ticksPerSecond
    }

    /// Bytes of memory that the process occupies now.
    static func residentBytes(of process: Int32) -> Int? {
        guard let text = readFile("/proc/\(process)/statm") else { return nil }
        let fields = text.split(separator: " ")
        guard fields.count > 1, let pages = Int(fields[1]) else { return nil }
        return pages * sysconf(Int32(_SC_PAGESIZE))
    }
}

/// What is in a folder; nothing if it cannot be read.
func names(in folder: String) -> [String] {
    guard let handle = opendir(folder) else { return [] }
    defer { closedir(handle) }
    var names: [String] = []
    while let entry = readdir(handle) {
        names.append(
            withUnsafeBytes(of: &entry.pointee.d_name) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) })
    }
    return names.filter { $0 != "." && $0 != ".." }
}

/// The text of a small file; nil if it cannot be read.
func readFile(_ path: String, most: Int = 1 << 16) -> String? {
    guard let file = fopen(path, "re") else { return nil }
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: most)
    let count = fread(&bytes, 1, bytes.count, file)
    return String(decoding: bytes.prefix(count), as: UTF8.self)
}

/// Writes a whole file.
public func writeFile(_ path: String, _ text: String) throws(LoadTestError) {
    guard let file = fopen(path, "we") else { throw .file(path: path, number: errno) }
    let bytes = Array(text.utf8)
    let count = fwrite(bytes, 1, bytes.count, file)
    guard fclose(file) == 0, count == bytes.count else { throw .file(path: path, number: errno) }
}
