internal import WireProtocol

extension Settings {
    /// Every key whose name matches, with its effective value, in the order of the manual: for `CONFIG GET` and dumps.
    /// Defaults are included and passwords are not.
    /// - Parameter glob: as in Redis: `*`, `?`, `[a-z]`, `[^a-z]`, `\` before a character; case does not matter.
    public func describe(matching glob: String) -> [(key: String, value: String)] {
        let pattern = GlobPattern(glob)
        return SettingRow.all.filter { pattern.matches($0.name) }.map { ($0.name, $0.show(values)) }
    }

    /// What these settings, which are in force, become when `new` is loaded while the daemon runs: `new`, except that
    /// keys that change only with a restart keep their values; the names of those that differ are returned.
    public func reloaded(with new: Settings) -> (settings: Settings, needRestart: [String]) {
        var merged = new
        var names: [String] = []
        for key in SettingRow.all where key.change == .restart && !key.isEqual(values, new.values) {
            key.copy(&merged.values, values)
            names.append(key.name)
        }
        merged.resolved.socketGroup = resolved.socketGroup
        merged.resolved.isPasswordCredential = resolved.isPasswordCredential
        return (merged, names)
    }
}
