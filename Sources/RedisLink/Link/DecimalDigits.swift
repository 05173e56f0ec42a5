extension Collection<UInt8> {
    /// The number that these digits are, and nothing but digits: 1 to 18 of them, so that 64 bits always hold it; nil for
    /// anything else.
    var decimalNumber: Int64? {
        guard (1...18).contains(count), allSatisfy({ (0x30...0x39).contains($0) }) else { return nil }
        return reduce(0) { $0 * 10 + Int64($1 - 0x30) }
    }
}
