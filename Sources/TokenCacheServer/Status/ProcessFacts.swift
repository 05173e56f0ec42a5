internal import CLinux
internal import Glibc

/// What the kernel and the allocator tell about this process.
enum ProcessFacts {
    /// Bytes that the allocator has handed out.
    static var allocatedBytes: Int {
        let information = mallinfo2()
        return Int(clamping: information.uordblks) + Int(clamping: information.hblkhd)
    }

    /// Bytes in memory now.
    static var residentBytes: Int { status("VmRSS:") }

    /// The most bytes that were in memory. Not `ru_maxrss`: that survives exec(2), and is the parent's where it was larger.
    static var peakResidentBytes: Int { status("VmHWM:") }

    /// A size of `/proc/self/status`, bytes; 0 where it is not told.
    private static func status(_ name: String) -> Int {
        guard let file = fopen("/proc/self/status", "r") else { return 0 }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 256)
        while fgets(&line, Int32(line.count), file) != nil {
            let text = String(decoding: line.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
            guard text.hasPrefix(name) else { continue }
            let number = text.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) } ?? 0
            return number.multipliedReportingOverflow(by: 1_024).partialValue
        }
        return 0
    }

    /// Descriptors that are open, the one that counts them not among them.
    static var openDescriptors: Int {
        guard let folder = opendir("/proc/self/fd") else { return 0 }
        defer { closedir(folder) }
        var count = -1
        while let entry = readdir(folder) {
            if withUnsafeBytes(of: &entry.pointee.d_name, { $0.first }) != UInt8(ascii: ".") { count += 1 }
        }
        return max(0, count)
    }

    /// `RLIMIT_NOFILE`.
    static var descriptorLimit: Int {
        var limit = rlimit()
        guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 0 }
        return Int(clamping: limit.rlim_cur)
    }

    /// CPU time used so far in the kernel and in the program, seconds with six decimals.
    static var cpuSeconds: (system: String, user: String) {
        let usage = usage
        return (seconds(usage.ru_stime), seconds(usage.ru_utime))
    }

    /// Both together, microseconds.
    static var cpuMicroseconds: Int64 {
        let usage = usage
        return [usage.ru_stime, usage.ru_utime].reduce(0) {
            $0 &+ Int64($1.tv_sec) &* 1_000_000 &+ Int64($1.tv_usec)
        }
    }

    private static var usage: rusage {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        return usage
    }

    private static func seconds(_ time: timeval) -> String {
        let digits = String(time.tv_usec)
        return "\(time.tv_sec)." + String(repeating: "0", count: max(0, 6 - digits.count)) + digits
    }
}

/// A number with a fixed count of decimals, without the C library's locale.
func decimal(_ number: Double, places: Int) -> String {
    var scale = 1.0
    for _ in 0..<places { scale *= 10 }
    guard number.isFinite, number >= 0, number * scale < 9e15 else { return "0" }
    let scaled = Int64((number * scale).rounded())
    let digits = String(scaled)
    let padded = String(repeating: "0", count: max(0, places + 1 - digits.count)) + digits
    return "\(padded.dropLast(places)).\(padded.suffix(places))"
}
