internal import WireProtocol

/// The replies to `COMMAND` and its subcommands, in the shapes of Redis 7.0: redis-cli and the client libraries read
/// them. Everything in them comes from the table.
enum CommandReplies {
    /// The rows that are shown.
    private static var listed: [CommandRow] { CommandRow.all.filter { !$0.flags.contains(.unlisted) } }

    /// Answers `COMMAND`, with or without a subcommand. Not for the hot path: it allocates.
    ///
    /// - Parameters:
    ///   - words: the arguments after `COMMAND`.
    ///   - writer: gets exactly one reply.
    static func describe(_ words: [UnsafeRawBufferPointer], to writer: inout ReplyWriter) {
        guard let subcommand = words.first else { return writeInfo(listed, to: &writer) }
        let names = words.dropFirst()
        if subcommand.isKeyword("COUNT") {
            guard names.isEmpty else { return writeArityError("count", to: &writer) }
            writer.integer(Int64(listed.count))
        } else if subcommand.isKeyword("LIST") {
            guard let rows = filter(Array(names)) else { return writer.error("ERR", "syntax error") }
            writer.array(rows.count)
            for row in rows { writer.bulk(lowerCase(row.name)) }
        } else if subcommand.isKeyword("INFO") {
            writeInfo(names.isEmpty ? listed : names.map(find), to: &writer)
        } else if subcommand.isKeyword("DOCS") {
            writeDocs(names.isEmpty ? listed : names.compactMap(find), to: &writer)
        } else if subcommand.isKeyword("GETKEYS") || subcommand.isKeyword("GETKEYSANDFLAGS") {
            guard !names.isEmpty else { return writeArityError("getkeys", to: &writer) }
            writer.error("ERR", "The command has no key arguments")
        } else if subcommand.isKeyword("HELP") {
            writeHelp(to: &writer)
        } else {
            writer.error("ERR", "unknown subcommand. Try COMMAND HELP.")
        }
    }

    /// The commands of `LIST [FILTERBY MODULE name | ACLCAT category | PATTERN glob]`; nil where that is not what it says.
    private static func filter(_ words: [UnsafeRawBufferPointer]) -> [CommandRow]? {
        guard !words.isEmpty else { return listed }
        guard words.count == 3, words[0].isKeyword("FILTERBY") else { return nil }
        let value = String(decoding: words[2], as: UTF8.self)
        if words[1].isKeyword("PATTERN") {
            let pattern = GlobPattern(value)
            return listed.filter { pattern.matches(lowerCase($0.name)) }
        }
        if words[1].isKeyword("ACLCAT") {
            let category = "@" + value.lowercased()
            return listed.filter { row in categories(of: row).contains { $0.description == category } }
        }
        // There are no modules.
        return words[1].isKeyword("MODULE") ? [] : nil
    }

    private static func find(_ name: UnsafeRawBufferPointer) -> CommandRow? {
        listed.first { name.isKeyword($0.name) }
    }

    /// An array of ten-element arrays: name, arity, flags, first key, last key, step, access categories, tips, key
    /// rowifications, subcommands. There are no keys. A name that is unknown gives a null.
    private static func writeInfo(_ rows: [CommandRow?], to writer: inout ReplyWriter) {
        writer.array(rows.count)
        for row in rows {
            guard let row else {
                writer.nullArray()
                continue
            }
            writer.array(10)
            writer.bulk(lowerCase(row.name))
            writer.integer(Int64(row.arity.words))
            writeSet(CommandRow.Flags.names.filter { row.flags.contains($0.flag) }.map(\.name), to: &writer)
            for _ in 0..<3 { writer.integer(0) }
            writeSet(categories(of: row), to: &writer)
            writer.set(0)
            writer.set(0)
            writer.set(0)
        }
    }

    /// A map from name to a map of what is known about the command. Names that are unknown are left out.
    private static func writeDocs(_ rows: [CommandRow], to writer: inout ReplyWriter) {
        writer.map(rows.count)
        for row in rows {
            writer.bulk(lowerCase(row.name))
            let arguments = CommandArgument.parse(row.arguments)
            writer.map(arguments.isEmpty ? 4 : 5)
            writer.bulk("summary")
            writer.bulk(row.summary)
            writer.bulk("since")
            writer.bulk(row.since)
            writer.bulk("group")
            writer.bulk(row.group.rawValue)
            writer.bulk("complexity")
            writer.bulk(row.complexity)
            if !arguments.isEmpty {
                writer.bulk("arguments")
                writeArguments(arguments, to: &writer)
            }
        }
    }

    private static func writeArguments(_ arguments: [CommandArgument], to writer: inout ReplyWriter) {
        writer.array(arguments.count)
        for argument in arguments {
            var flags: [StaticString] = []
            if argument.isOptional { flags.append("optional") }
            if argument.isMultiple { flags.append("multiple") }
            if argument.repeatsToken { flags.append("multiple_token") }
            writer.map(2 + (argument.token == nil ? 0 : 1) + (flags.isEmpty ? 0 : 1) + (argument.parts.isEmpty ? 0 : 1))
            writer.bulk("name")
            writer.bulk(argument.name)
            writer.bulk("type")
            writer.bulk(argument.kind.rawValue)
            if let token = argument.token {
                writer.bulk("token")
                writer.bulk(token)
            }
            if !flags.isEmpty {
                writer.bulk("flags")
                writeSet(flags, to: &writer)
            }
            if !argument.parts.isEmpty {
                writer.bulk("arguments")
                writeArguments(argument.parts, to: &writer)
            }
        }
    }

    private static func writeHelp(to writer: inout ReplyWriter) {
        writer.array(13)
        writer.simple("COMMAND <subcommand> [<arg> [value] [opt] ...]. Subcommands are:")
        writer.simple("(no subcommand)")
        writer.simple("    Return details about all commands.")
        writer.simple("COUNT")
        writer.simple("    Return the total number of commands.")
        writer.simple("LIST [FILTERBY (MODULE <name>|ACLCAT <category>|PATTERN <pattern>)]")
        writer.simple("    Return a list of all commands, or of some.")
        writer.simple("INFO [<command-name> ...]")
        writer.simple("    Return details about commands, about all if none is named.")
        writer.simple("DOCS [<command-name> ...]")
        writer.simple("    Return documentation of commands, of all if none is named.")
        writer.simple("HELP")
        writer.simple("    Print this help.")
    }

    private static func writeArityError(_ subcommand: String, to writer: inout ReplyWriter) {
        writer.error("ERR", "wrong number of arguments for 'command|\(subcommand)' command")
    }

    /// Redis's access categories, worked out from the flags as Redis does.
    private static func categories(of row: CommandRow) -> [StaticString] {
        var list: [StaticString] = []
        if row.flags.contains(.write) { list.append("@write") }
        if row.flags.contains(.readonly) { list.append("@read") }
        if row.flags.contains(.admin) { list += ["@admin", "@dangerous"] }
        if row.flags.contains(.pubsub) { list.append("@pubsub") }
        if row.group == .connection { list.append("@connection") }
        list.append(row.flags.contains(.fast) ? "@fast" : "@slow")
        return list
    }

    private static func writeSet(_ names: [StaticString], to writer: inout ReplyWriter) {
        writer.set(names.count)
        for name in names { writer.simple(name) }
    }

    private static func lowerCase(_ name: StaticString) -> String { name.description.lowercased() }
}
