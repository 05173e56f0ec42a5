/// Doubly linked lists of places in a table, each place in at most one of them: put in, taken out and moved in constant
/// time, in the order in which they came.
struct PlaceLists {
    typealias Place = Int32
    private static let none: Place = -1

    private struct Links {
        /// -1: in none.
        var list: Int32 = -1
        var before = PlaceLists.none
        var behind = PlaceLists.none
    }

    private var links: [Links] = []
    private var heads: [Place]
    private var tails: [Place]

    init(lists: Int) {
        heads = Array(repeating: Self.none, count: lists)
        tails = heads
    }

    /// Makes room for one more place, behind those that there are.
    mutating func grow() { links.append(Links()) }

    func contains(_ place: Place, in list: Int) -> Bool { links[Int(place)].list == list }

    /// Puts a place at the end of a list, and out of the one it was in.
    mutating func append(_ place: Place, to list: Int) {
        remove(place)
        let last = tails[list]
        links[Int(place)] = Links(list: Int32(list), before: last)
        if last == Self.none { heads[list] = place } else { links[Int(last)].behind = place }
        tails[list] = place
    }

    /// Takes the first place out of a list.
    mutating func popFirst(_ list: Int) -> Place? {
        let first = heads[list]
        guard first != Self.none else { return nil }
        remove(first)
        return first
    }

    /// Takes a place out of whatever list it is in.
    mutating func remove(_ place: Place) {
        let link = links[Int(place)]
        guard link.list >= 0 else { return }
        let list = Int(link.list)
        if link.before == Self.none { heads[list] = link.behind } else { links[Int(link.before)].behind = link.behind }
        if link.behind == Self.none { tails[list] = link.before } else { links[Int(link.behind)].before = link.before }
        links[Int(place)] = Links()
    }
}
