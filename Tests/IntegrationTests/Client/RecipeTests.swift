import TestSupport
import Testing

/// The lines of docs/recipes.md do what they say.
@Suite("Recipes", .parallel)
struct RecipeTests {
    private struct Recipe: CustomTestStringConvertible {
        let title: String
        let lines: [String]
        /// Of the daemon: they stand behind the word `recipe`.
        let settings: [String: String]
        var testDescription: String { title }
    }

    private static func recipes() throws -> [Recipe] {
        var title = ""
        var recipes: [Recipe] = []
        var lines: [String]?
        var settings: [String: String] = [:]
        for line in try PackageFolder.text("docs/recipes.md").split(separator: "\n").map(String.init) {
            if line.hasPrefix("## ") { title = String(line.dropFirst(3)) }
            if line == "```", let found = lines {
                recipes.append(Recipe(title: title, lines: found, settings: settings))
                lines = nil
            }
            lines?.append(line)
            guard line.hasPrefix("```recipe") else { continue }
            lines = []
            settings = Dictionary(
                uniqueKeysWithValues: line.split(separator: " ").dropFirst().compactMap { word in
                    let parts = word.split(separator: "=").map(String.init)
                    return parts.count == 2 ? (parts[0], parts[1]) : nil
                })
        }
        return recipes
    }

    /// Words, of which those in quotes may be empty.
    private static func words(_ text: Substring, _ values: [String: String]) -> [String] {
        text.split(separator: " ").map { word in
            if word == "\"\"" { return "" }
            guard let mark = word.firstIndex(of: "$") else { return String(word) }
            return word[..<mark] + (values[String(word[word.index(after: mark)...])] ?? "?")
        }
    }

    @Test("each line of docs/recipes.md does what it says")
    func asItStands() throws {
        let recipes = try Self.recipes()
        #expect(recipes.count >= 13)
        // Without a near cache nobody can be told.
        for recipe in recipes where Stage.hasNearCache || !recipe.lines.contains(where: { $0.hasPrefix("SUBSCRIBE") }) {
            try withWorld(settings: recipe.settings) { world in
                let client = try world.client()
                let subscriber = try world.client()
                var values: [String: String] = [:]
                for line in recipe.lines {
                    let parts = line.split(separator: " → ", maxSplits: 1)
                    try #require(parts.count == 2, "\(line)")
                    if parts[0].hasPrefix("the subscriber ") {
                        let message = try subscriber.readReply(limit: .seconds(5)).elements?.last?.text
                        #expect(message ?? "nothing" == parts[1], "\(recipe.title): \(line)")
                        continue
                    }
                    let words = Self.words(parts[0], values)
                    if words[0] == "SUBSCRIBE" {
                        #expect(try subscriber.call(words).elements?.first?.text == "subscribe", "\(recipe.title)")
                        continue
                    }
                    let reply = try client.call(words)
                    try Self.check(reply, parts[1], &values, "\(recipe.title): \(line)")
                }
                for (name, value) in values where name != "sid" { world.stage.book.note(Array(value.utf8)) }
            }
        }
    }

    private static func check(
        _ reply: RESPValue, _ expected: Substring, _ values: inout [String: String], _ line: String
    ) throws {
        if let number = Int(expected) { return #expect(reply == .integer(number), "\(line): \(reply)") }
        if expected.hasSuffix(" sessions") {
            return #expect(reply.elements?.count == Int(expected.split(separator: " ")[0]), "\(line): \(reply)")
        }
        let fields = try Fields(reply)
        for part in expected.split(separator: ", ") {
            let words = part.split(separator: " ")
            let path = words[0].split(separator: ".").map(String.init)
            var found = fields[path[0]]
            if path.count > 1 { found = try found.map { try Fields($0) }?[path[1]] }
            let text: String? = if let number = found?.integer { String(number) } else { found?.text }
            if words[1].hasPrefix("$") {
                let value: String = try #require(text, "\(line): \(reply)")
                values[String(words[1].dropFirst())] = value
            } else if ["expires_in", "max_age"].contains(path[0]), let number = text.flatMap({ Int($0) }),
                let wanted = Int(words[1])
            {
                // Some of it may have passed.
                #expect((wanted - 5...wanted).contains(number), "\(line): \(reply)")
            } else {
                #expect(text ?? "nothing" == words[1], "\(line): \(reply)")
            }
        }
    }
}
