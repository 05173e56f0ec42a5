/// The replies to `COMMAND` and its subcommands, in the shapes of Redis 7.0: redis-cli and the client libraries read
/// them. Everything in them comes from the table.
extension CommandTable {
    /// The rows that are shown.
    private static var listed: [CommandSpec] { rows.filter { !$0.flags.contains(.unlisted) } }

    /// Answers `COMMAND`, with or without a subcommand. Not for the hot path: it allocates.
    ///
    /// - Parameters:
    ///   - arguments: where the arguments after `COMMAND` are in `bytes`.
    ///   - bytes: the request.
    ///   - writer: gets exactly one reply.
    public static func describe(
        _ arguments: ArraySlice<Range<Int>>, in bytes: UnsafeRawBufferPointer, to writer: inout ReplyWriter
    ) {
        let words = arguments.map { UnsafeRawBufferPointer(rebasing: bytes[$0]) }
        guard let subcommand = words.first else { return writeInfo(listed, to: &writer) }
        let names = words.dropFirst()
        if ASCII.equal(subcommand, "COUNT") {
            guard names.isEmpty else { return writeArityError("count", to: &writer) }
            writer.integer(Int64(listed.count))
        } else if ASCII.equal(subcommand, "LIST") {
            guard let specs = filter(Array(names)) else { return writer.error("ERR", "syntax error") }
            writer.array(specs.count)
            for spec in specs { writer.bulk(lowerCase(spec.name)) }
        } else if ASCII.equal(subcommand, "INFO") {
            writeInfo(names.isEmpty ? listed : names.map(find), to: &writer)
        } else if ASCII.equal(subcommand, "DOCS") {
            writeDocs(names.isEmpty ? listed : names.compactMap(find), to: &writer)
        } else if ASCII.equal(subcommand, "GETKEYS") || ASCII.equal(subcommand, "GETKEYSANDFLAGS") {
            guard !names.isEmpty else { return writeArityError("getkeys", to: &writer) }
            writer.error("ERR", "The command has no key arguments")
        } else if ASCII.equal(subcommand, "HELP") {
            writeHelp(to: &writer)
        } else {
            writer.error("ERR", "unknown subcommand. Try COMMAND HELP.")
        }
    }

    /// The commands of `LIST [FILTERBY MODULE name | ACLCAT category | PATTERN glob]`; nil where that is not what it says.
    private static func filter(_ words: [UnsafeRawBufferPointer]) -> [CommandSpec]? {
        guard !words.isEmpty else { return listed }
        guard words.count == 3, ASCII.equal(words[0], "FILTERBY") else { return nil }
        let value = String(decoding: words[2], as: UTF8.self)
        if ASCII.equal(words[1], "PATTERN") {
            let pattern = GlobPattern(value)
            return listed.filter { pattern.matches(lowerCase($0.name)) }
        }
        if ASCII.equal(words[1], "ACLCAT") {
            let category = "@" + value.lowercased()
            return listed.filter { spec in categories(of: spec).contains { $0.description == category } }
        }
        // There are no modules.
        return ASCII.equal(words[1], "MODULE") ? [] : nil
    }

    private static func find(_ name: UnsafeRawBufferPointer) -> CommandSpec? {
        guard let spec = lookup(first: name, second: nil)?.command.spec, !spec.flags.contains(.unlisted) else {
            return nil
        }
        return spec
    }

    /// An array of ten-element arrays: name, arity, flags, first key, last key, step, access categories, tips, key
    /// specifications, subcommands. There are no keys. A name that is unknown gives a null.
    private static func writeInfo(_ specs: [CommandSpec?], to writer: inout ReplyWriter) {
        writer.array(specs.count)
        for spec in specs {
            guard let spec else {
                writer.nullArray()
                continue
            }
            writer.array(10)
            writer.bulk(lowerCase(spec.name))
            writer.integer(Int64(spec.arity))
            writeSet(CommandSpec.Flags.names.filter { spec.flags.contains($0.flag) }.map(\.name), to: &writer)
            for _ in 0..<3 { writer.integer(0) }
            writeSet(categories(of: spec), to: &writer)
            writer.set(0)
            writer.set(0)
            writer.set(0)
        }
    }

    /// A map from name to a map of what is known about the command. Names that are unknown are left out.
    private static func writeDocs(_ specs: [CommandSpec], to writer: inout ReplyWriter) {
        writer.map(specs.count)
        for spec in specs {
            writer.bulk(lowerCase(spec.name))
            let arguments = CommandArgument.parse(spec.arguments)
            writer.map(arguments.isEmpty ? 4 : 5)
            writer.bulk("summary")
            writer.bulk(spec.summary)
            writer.bulk("since")
            writer.bulk(spec.since)
            writer.bulk("group")
            writer.bulk(spec.group.rawValue)
            writer.bulk("complexity")
            writer.bulk(spec.complexity)
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
    private static func categories(of spec: CommandSpec) -> [StaticString] {
        var list: [StaticString] = []
        if spec.flags.contains(.write) { list.append("@write") }
        if spec.flags.contains(.readonly) { list.append("@read") }
        if spec.flags.contains(.admin) { list += ["@admin", "@dangerous"] }
        if spec.group == .connection { list.append("@connection") }
        list.append(spec.flags.contains(.fast) ? "@fast" : "@slow")
        return list
    }

    private static func writeSet(_ names: [StaticString], to writer: inout ReplyWriter) {
        writer.set(names.count)
        for name in names { writer.simple(name) }
    }

    private static func lowerCase(_ name: StaticString) -> String { name.description.lowercased() }
}
