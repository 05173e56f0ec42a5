internal import Glibc

/// An address of the internet, as a number. One of version 4 that is written as version 6 (`::ffff:192.0.2.1`) is the
/// same as itself.
public enum IPAddress: Equatable, Sendable {
    case v4(UInt32)
    case v6(high: UInt64, low: UInt64)

    /// Reads an address as `inet_pton` does; nil for anything else. Names are not looked up.
    public init?(text: some Collection<UInt8>) {
        // No address is longer than 45 characters; a zero would end it early.
        guard text.count <= 45, !text.contains(0) else { return nil }
        let name = Array(text) + [0]
        var bytes = InlineArray<16, UInt8>(repeating: 0)
        let address: IPAddress? = name.withUnsafeBytes { name in
            withUnsafeMutableBytes(of: &bytes) { bytes in
                let name = name.baseAddress?.assumingMemoryBound(to: CChar.self)
                if inet_pton(AF_INET, name, bytes.baseAddress) == 1 {
                    return .v4(UInt32(bigEndian: bytes.loadUnaligned(as: UInt32.self)))
                }
                guard inet_pton(AF_INET6, name, bytes.baseAddress) == 1 else { return nil }
                let high = UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self))
                let low = UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
                return high == 0 && low >> 32 == 0xffff
                    ? .v4(UInt32(truncatingIfNeeded: low)) : .v6(high: high, low: low)
            }
        }
        guard let address else { return nil }
        self = address
    }

    /// 4 or 6.
    var version: UInt8 {
        switch self {
        case .v4: 4
        case .v6: 6
        }
    }

    /// The bytes in network order with all bits behind the first `prefix` zero.
    func masked(to prefix: Int) -> [UInt8] {
        switch self {
        case .v4(let bits):
            // A shift by the whole width gives zero.
            return withUnsafeBytes(of: (bits & ~(UInt32.max >> max(0, prefix))).bigEndian) { Array($0) }
        case .v6(let high, let low):
            let highBits = high & ~(UInt64.max >> max(0, prefix))
            let lowBits = low & ~(UInt64.max >> max(0, prefix - 64))
            return withUnsafeBytes(of: highBits.bigEndian) { Array($0) }
                + withUnsafeBytes(of: lowBits.bigEndian) { Array($0) }
        }
    }
}
