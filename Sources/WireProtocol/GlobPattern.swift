/// A pattern of Redis's `KEYS` and `CONFIG GET`: `*`, `?`, `[a-z]`, `[^a-z]`, `\` before a character; case does not matter. Matching takes pattern times text steps at most and does not recurse,
/// whatever a client sends.
public struct GlobPattern: Sendable {
    private enum Piece: Sendable {
        case anything
        case any
        case one(UInt8)
        case set([ClosedRange<UInt8>], isNegated: Bool)

        func accepts(_ byte: UInt8) -> Bool {
            switch self {
            case .anything, .any: true
            case .one(let wanted): wanted == byte
            case .set(let ranges, let isNegated): ranges.contains { $0.contains(byte) } != isNegated
            }
        }
    }

    private let pieces: [Piece]

    /// Any text is a pattern.
    public init(_ text: String) {
        var pieces: [Piece] = []
        var rest = text.lowercased().utf8[...]
        while let byte = rest.popFirst() {
            switch byte {
            case UInt8(ascii: "*"):
                if case .anything? = pieces.last { continue }
                pieces.append(.anything)
            case UInt8(ascii: "?"): pieces.append(.any)
            case UInt8(ascii: "["): pieces.append(Self.set(&rest))
            case UInt8(ascii: "\\"): pieces.append(.one(rest.popFirst() ?? byte))
            default: pieces.append(.one(byte))
            }
        }
        self.pieces = pieces
    }

    /// The rest of `[a-z]`; a set without its `]` ends with the pattern, as in Redis.
    private static func set(_ rest: inout Substring.UTF8View) -> Piece {
        var ranges: [ClosedRange<UInt8>] = []
        let isNegated = rest.first == UInt8(ascii: "^")
        if isNegated { rest.removeFirst() }
        while var low = rest.popFirst(), low != UInt8(ascii: "]") {
            if low == UInt8(ascii: "\\"), let escaped = rest.popFirst() { low = escaped }
            let tail = rest.dropFirst()
            if rest.first == UInt8(ascii: "-"), let high = tail.first, high != UInt8(ascii: "]") {
                ranges.append(min(low, high)...max(low, high))
                rest = tail.dropFirst()
            } else {
                ranges.append(low...low)
            }
        }
        return .set(ranges, isNegated: isNegated)
    }

    /// Whether the whole text matches.
    public func matches(_ text: String) -> Bool {
        let bytes = Array(text.lowercased().utf8)
        var piece = 0
        var byte = 0
        // Where to go on if what follows the last star does not match: only the last star need ever take more.
        var retry: (piece: Int, byte: Int)?
        while byte < bytes.count {
            if piece < pieces.count, case .anything = pieces[piece] {
                retry = (piece + 1, byte)
                piece += 1
            } else if piece < pieces.count, pieces[piece].accepts(bytes[byte]) {
                piece += 1
                byte += 1
            } else if let last = retry {
                retry = (last.piece, last.byte + 1)
                piece = last.piece
                byte = last.byte + 1
            } else {
                return false
            }
        }
        return pieces[piece...].allSatisfy { if case .anything = $0 { true } else { false } }
    }
}
