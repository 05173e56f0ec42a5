/// How much of a peer's request is believed before it is refused. All three are checked before anything is kept for
/// the request they bound.
///
/// The defaults are those of the design's reliability page; Redis's own are 64 KiB a line, 2^31 elements and 512 MiB
/// a bulk, far more than any command here needs.
public struct ProtocolLimits: Sendable, Equatable {
    /// The longest inline request, and the longest count or length line, in bytes without its line end.
    public var maxLine = 4096

    /// The most arguments of one request, its name included.
    public var maxElements = 1024

    /// The longest single argument, in bytes.
    public var maxBulk = 131_072

    public init(maxLine: Int = 4096, maxElements: Int = 1024, maxBulk: Int = 131_072) {
        self.maxLine = maxLine
        self.maxElements = maxElements
        self.maxBulk = maxBulk
    }

    /// The same limits within 1 … 2^30, where no sum of a limit and a buffer offset can overflow.
    var clamped: ProtocolLimits {
        func clamp(_ value: Int) -> Int { min(max(value, 1), 1 << 30) }
        return ProtocolLimits(
            maxLine: clamp(maxLine), maxElements: clamp(maxElements), maxBulk: clamp(maxBulk))
    }
}
