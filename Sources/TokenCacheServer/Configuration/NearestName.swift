/// Finds the name that somebody meant to write.
enum NearestName {
    /// Texts longer than this are no typing errors of a key, and would only cost time.
    private static let maxLength = 64

    /// The candidate with the fewest insertions, deletions, replacements and swaps of neighbours between it and `text`,
    /// if they are few for its length; the first of equals. Letters compare without case; `_` and `-` are equal.
    static func of(_ text: String, in candidates: [String]) -> String? {
        let wanted = folded(text)
        guard !wanted.isEmpty, wanted.count <= maxLength else { return nil }
        var best: (name: String, distance: Int)?
        for candidate in candidates {
            let distance = distance(wanted, folded(candidate))
            if distance <= max(1, candidate.utf8.count / 4), distance < best?.distance ?? Int.max {
                best = (candidate, distance)
            }
        }
        return best?.name
    }

    private static func folded(_ text: String) -> [UInt8] {
        text.lowercased().utf8.prefix(maxLength + 1).map { $0 == UInt8(ascii: "_") ? UInt8(ascii: "-") : $0 }
    }

    /// Optimal string alignment distance, by rows.
    private static func distance(_ a: [UInt8], _ b: [UInt8]) -> Int {
        var beforeLast: [Int] = []
        var last = Array(0...b.count)
        for i in a.indices {
            var row = [i + 1]
            row.reserveCapacity(b.count + 1)
            for j in b.indices {
                var cost = min(last[j] + (a[i] == b[j] ? 0 : 1), last[j + 1] + 1, row[j] + 1)
                if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] {
                    cost = min(cost, beforeLast[j - 1] + 1)
                }
                row.append(cost)
            }
            beforeLast = last
            last = row
        }
        return last[b.count]
    }
}
