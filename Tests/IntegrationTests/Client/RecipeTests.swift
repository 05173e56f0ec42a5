import TestSupport
import Testing

/// The lines of docs/recipes.md do what they say.
@Suite("Recipes", .parallel)
struct RecipeTests {
    private struct Recipe: CustomTestStringConvertible {
        let title: String
        let lines: [String]
        var testDescription: String { title }
    }

    private static func recipes() throws -> [Recipe] {
        var title = ""
        var recipes: [Recipe] = []
        var lines: [String]?
        for line in try PackageFolder.text("docs/recipes.md").split(separator: "\n").map(String.init) {
            if line.hasPrefix("## ") { title = String(line.dropFirst(3)) }
            if line == "```", let found = lines {
                recipes.append(Recipe(title: title, lines: found))
                lines = nil
            }
            lines?.append(line)
            if line == "```recipe" { lines = [] }
        }
        return recipes
    }

    /// Words, of which those in quotes may be empty.
    private static func words(_ text: Substring, _ values: [String: String]) -> [String] {
        text.split(separator: " ").map { word in
            if word == "\"\"" { return "" }
            return word.hasPrefix("$") ? values[String(word.dropFirst())] ?? "?" : String(word)
        }
    }

    @Test("each line of docs/recipes.md does what it says")
    func asItStands() throws {
        let recipes = try Self.recipes()
        #expect(recipes.count >= 11)
        for recipe in recipes {
            try withWorld { world in
                let client = try world.client()
                var values: [String: String] = [:]
                for line in recipe.lines {
                    let parts = line.split(separator: " → ", maxSplits: 1)
                    try #require(parts.count == 2, "\(line)")
                    let reply = try client.call(Self.words(parts[0], values))
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
