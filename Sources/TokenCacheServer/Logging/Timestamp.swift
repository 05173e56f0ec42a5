internal import Glibc
internal import UnixTime

extension UnixMilliseconds {
    /// In UTC, as RFC 3339 has it: `2026-11-21T10:00:00.123Z`; `-` for a year that C's calendar does not reach.
    var timestamp: String {
        var time = time_t(seconds.sinceEpoch)
        var date = tm()
        guard gmtime_r(&time, &date) != nil else { return "-" }
        let day =
            "\(padded(Int(date.tm_year) + 1900, 4))-\(padded(Int(date.tm_mon) + 1, 2))-\(padded(Int(date.tm_mday), 2))"
        let clock = "\(padded(Int(date.tm_hour), 2)):\(padded(Int(date.tm_min), 2)):\(padded(Int(date.tm_sec), 2))"
        return "\(day)T\(clock).\(padded(Int(self - seconds.milliseconds), 3))Z"
    }

    private func padded(_ number: Int, _ width: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, width - digits.utf8.count)) + digits
    }
}
