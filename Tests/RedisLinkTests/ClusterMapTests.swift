import Testing

@testable import RedisLink

@Suite("The map of a cluster")
struct ClusterMapTests {
    private let a = String(repeating: "a", count: 40)
    private let b = String(repeating: "b", count: 40)
    private let c = String(repeating: "c", count: 40)

    private func parse(_ lines: String...) -> ClusterMap? {
        ClusterMap(.bulk(Array(lines.joined(separator: "\n").utf8)), host: "10.0.0.9")
    }

    private func line(_ id: String, _ flags: String, epoch: Int, _ slots: String, place: String = "10.0.0.1:7000@17000")
        -> String
    {
        "\(id) \(place) \(flags) - 0 1 \(epoch) connected \(slots)"
    }

    @Test(
        "the slot of a key is the one that Redis says",
        arguments: [
            ("123456789", 12_739), ("foo", 12_182), ("bar", 5_061), ("{user1000}.following", 3_443),
            ("{user1000}.followers", 3_443), ("foo{}{bar}", 8_363), ("foo{{bar}}zap", 4_015), ("", 0),
        ])
    func slots(key: String, slot: Int) { #expect(KeySlot.of(Array(key.utf8)) == slot) }

    @Test("a tag is of its slot, whatever stands around it")
    func tags() {
        for slot in [0, 1, 5_461, 16_383] {
            let tag = KeySlot.tag(of: slot)
            #expect(
                !tag.isEmpty && tag.count <= 4 && KeySlot.of(Array("tc:s:~{".utf8) + tag + Array("}123".utf8)) == slot)
        }
    }

    @Test("masters with their slots are read; replicas and those without an address are not")
    func read() throws {
        let map = try #require(
            parse(
                line(a, "myself,master", epoch: 3, "0-5460 5462 [93-<-\(b)] [77->-\(b)]", place: ":7000@17000"),
                line(b, "master,fail?", epoch: 2, "5461", place: "10.0.0.2:7001@17001,redis-2.example"),
                line(c, "slave", epoch: 2, ""), line(String(repeating: "d", count: 40), "master,noaddr", epoch: 0, "")))
        #expect(map.teller == a && map.masters.map(\.id) == [a, b])
        #expect(!map.isOnlyMaster(map.masters[0]) && !map.isOnlyMaster(map.masters[1]))
        #expect(map.masters[0].address == ClusterAddress(host: "10.0.0.9", port: 7000))
        #expect(map.masters[0].slots.count == 5_462 && map.masters[0].slots.contains(5_462))
        #expect(Array(map.masters[0].moving) == [77, 93])
        #expect(map.masters[1].isFailing && map.masters[1].address.name == "redis-2.example")
        #expect(map.masters[1].address.isTarget(host: "redis-2.example", port: 7_001))
        #expect(!map.masters[1].address.isTarget(host: "redis-2.example", port: 7_000))
    }

    @Test(
        "what is no map is refused",
        arguments: ["", "x", "0-1", "16384", "5-4", "-1", "1-2-3", "[9", "[99999->-x]", "9999999999999999999999"])
    func garbage(slots: String) {
        if ["", "0-1"].contains(slots) {
            #expect((parse(line(a, "myself,master", epoch: 1, slots)) == nil) == slots.isEmpty)
        } else {
            #expect(parse(line(a, "myself,master", epoch: 1, "0-9 " + slots)) == nil)
        }
        #expect(parse("short 1.2.3.4:1@2 myself,master - 0 0 1 connected 0-1") == nil)
        #expect(parse(line(a, "myself,master", epoch: 1, "0-1", place: "nowhere")) == nil)
    }

    @Test("of two owners the one with the higher epoch is right, whoever spoke last")
    func epochs() throws {
        var owners = SlotOwners()
        let old = try #require(
            parse(line(a, "myself,master", epoch: 1, "0-9"), line(b, "master", epoch: 2, "10-19")))
        #expect(owners.learn(old).all.count == 20 && owners.learn(old).all.isEmpty)
        // b took slot 5 and a new epoch: that slot and b's own are known anew.
        let new = try #require(
            parse(line(a, "master", epoch: 1, "0-4 6-9"), line(b, "myself,master", epoch: 3, "5 10-19")))
        #expect(Array(owners.learn(new).all) == [5] + Array(10...19) && owners[5] == b)
        // Somebody who has not heard of it changes nothing.
        #expect(owners.learn(old).all.isEmpty && owners[5] == b && owners[4] == a)
    }

    @Test("a master that is a replica now has an heir with a higher epoch; one that was forgotten has any")
    func demoted() throws {
        var owners = SlotOwners()
        _ = owners.learn(try #require(parse(line(a, "myself,master", epoch: 3, "0-9"), line(c, "slave", epoch: 3, ""))))
        let own = owners.byOwner[a] ?? SlotSet()
        let later = try #require(parse(line(a, "slave", epoch: 4, ""), line(c, "myself,master", epoch: 4, "0-9")))
        #expect(owners.learn(later) == SlotOwners.Changes(all: own, inherited: own) && owners[0] == c)
        // The old master wakes, and knows nothing of it.
        let old = try #require(parse(line(a, "myself,master", epoch: 3, "0-9"), line(c, "slave", epoch: 3, "")))
        #expect(owners.learn(old).all.isEmpty && owners[0] == c)
        let other = try #require(parse(line(b, "myself,master", epoch: 1, "0-9")))
        #expect(owners.learn(other).all.count == 10 && owners[0] == b)
    }

    @Test("a slot that was handed on is the other's at once, until a map says otherwise")
    func handed() throws {
        var owners = SlotOwners()
        let both = try #require(parse(line(a, "myself,master", epoch: 1, "0-9"), line(b, "master", epoch: 2, "10-19")))
        _ = owners.learn(both)
        let isNews = owners.hand(3, to: b)
        let isNewsAgain = owners.hand(3, to: b)
        let isOutside = owners.hand(16_384, to: b)
        #expect(isNews && !isNewsAgain && !isOutside && owners[3] == b)
        // The same map once more does not take it back.
        #expect(owners.learn(both).all.isEmpty && owners[3] == b)
        #expect(owners.byOwner[b]?.count == 11)
    }
}
