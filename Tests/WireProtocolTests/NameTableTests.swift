import Testing

@testable import WireProtocol

private let names: [StaticString] = [
    "TOKEN.VALIDATE", "TOKEN.GET", "TOKEN.REVOKEALL", "CSRF.ISSUE", "PING", "A", "ABCDEFGHIJKLMNOP",
]
private let table = NameTable(names)

private func lookup(_ first: String, _ second: String? = nil) -> (index: Int, words: Int)? {
    // Exact allocations, so that reading past a name is found by the address sanitizer.
    Array(first.utf8).withUnsafeBytes { first in
        guard let second else { return table.lookup(first: first, second: nil) }
        return Array(second.utf8).withUnsafeBytes { table.lookup(first: first, second: $0) }
    }
}

private func mixed(_ name: String) -> String {
    String(name.enumerated().map { $0.offset % 2 == 0 ? Character($0.element.lowercased()) : $0.element })
}

@Suite("Names of commands")
struct NameTableTests {
    @Test("every name is found in any case", arguments: names.indices)
    func found(_ index: Int) {
        let name = names[index].description
        for form in [name, name.lowercased(), mixed(name)] {
            let found = lookup(form)
            #expect(found?.index == index)
            #expect(found?.words == 1)
            #expect(lookup(form, "x")?.words == 1)
        }
    }

    @Test("a name of a family may be sent in two words", arguments: names.indices)
    func twoWords(_ index: Int) {
        let parts = names[index].description.split(separator: ".").map(String.init)
        guard parts.count == 2 else { return }
        for form in [parts, parts.map { $0.lowercased() }, parts.map(mixed)] {
            let found = lookup(form[0], form[1])
            #expect(found?.index == index)
            #expect(found?.words == 2)
        }
        #expect(lookup(parts[0]) == nil)
        #expect(lookup(parts[0] + ".", parts[1]) == nil)
        #expect(lookup(parts[0], "." + parts[1]) == nil)
        #expect(lookup("", names[index].description) == nil)
    }

    @Test("a name that differs in one byte is another name", arguments: names.indices)
    func nearMisses(_ index: Int) {
        let name = Array(names[index].description.utf8)
        let known = Set(names.map(\.description))
        for place in name.indices {
            for byte in UInt8.min...UInt8.max {
                var other = name
                other[place] = byte
                let text = String(decoding: other, as: UTF8.self).uppercased()
                let found = other.withUnsafeBytes { table.lookup(first: $0, second: nil) }
                #expect((found != nil) == (known.contains(text) && byte < 128), "\(other)")
            }
            var shorter = name
            shorter.remove(at: place)
            #expect(shorter.withUnsafeBytes { table.lookup(first: $0, second: nil) } == nil)
            var longer = name
            longer.insert(0, at: place)
            #expect(longer.withUnsafeBytes { table.lookup(first: $0, second: nil) } == nil)
        }
    }

    @Test("nothing, and names that are too long, are not found")
    func nonsense() {
        #expect(lookup("") == nil)
        #expect(lookup("", "") == nil)
        #expect(lookup("GET", "TOKEN.VALIDATE") == nil)
        #expect(lookup("TOKEN", String(repeating: "A", count: 100_000)) == nil)
        #expect(lookup(String(repeating: "A", count: 17)) == nil)
        #expect(table.lookup(first: UnsafeRawBufferPointer(start: nil, count: 0), second: nil) == nil)
    }
}
