internal import WireProtocol

/// The configuration of one daemon: whole, checked, and with every name and default resolved. A value: a reload builds a
/// new one aside and swaps it in.
///
/// `settings.limits.maxClients` is the value of the key of that place in ``SettingKeys``, in its type. That looks into a
/// table: what is asked per request is copied into a value of its own first (`Settings.Limits`, `TokenPolicy`, …).
@dynamicMemberLookup
public struct Settings: Sendable, Equatable {
    static let keys = SettingKeys()

    var values = SettingValues()
    var resolved = Resolved()
    /// What is allowed, and perhaps not meant; no secret is in it.
    public internal(set) var warnings: [String] = []

    /// What the values mean on this host, and no key says.
    struct Resolved: Sendable, Equatable {
        /// `socket.group` as a number, or nil if it is empty.
        var socketGroup: UInt32?
        /// uid → role: `access.users`.
        var users: [UInt32: Role] = [:]
        /// gid → role: `access.groups`.
        var groups: [UInt32: Role] = [:]
        /// `keyring.file` came as a systemd credential: its mode is systemd's business.
        var isKeyringCredential = false
        /// A missing key ring is made: with an embedded Redis no other host needs the same keys.
        var isKeyringMade = false
        /// Group name → number: of the listeners of `http.listen`.
        var httpGroups: [String: UInt32] = [:]
        /// `redis.password-file` lies among systemd's credentials.
        var isPasswordCredential = false
        /// `redis.sentinel-password-file` does.
        var isSentinelPasswordCredential = false
        /// `redis.tls-key-file` does.
        var isTLSKeyCredential = false
    }

    /// Every key at its default; paths still empty, as no environment is looked at.
    init() {}

    /// The value of a key that belongs to no section.
    public subscript<Value>(dynamicMember key: KeyPath<SettingKeys, SettingKey<Value>>) -> Value {
        get { values[Self.keys[keyPath: key]] }
        set { values[Self.keys[keyPath: key]] = newValue }
    }

    public subscript<Keys: KeySection>(dynamicMember section: KeyPath<SettingKeys, Keys>) -> Section<Keys> {
        get { Section(keys: Self.keys[keyPath: section], values: values) }
        set { values = newValue.values }
    }

    /// The values of one section.
    @dynamicMemberLookup
    public struct Section<Keys: KeySection>: Sendable {
        fileprivate let keys: Keys
        fileprivate var values: SettingValues

        public subscript<Value>(dynamicMember key: KeyPath<Keys, SettingKey<Value>>) -> Value {
            get { values[keys[keyPath: key]] }
            set { values[keys[keyPath: key]] = newValue }
        }
    }

    public static func == (a: Settings, b: Settings) -> Bool {
        a.resolved == b.resolved && SettingRow.all.allSatisfy { $0.isEqual(a.values, b.values) }
    }

    /// What is wrong with the files that these settings name, as far as that can be seen without starting: the key ring,
    /// the audit trail, and the certificates for Redis.
    public var fileProblem: String? {
        DaemonKeys.problem(self) ?? AuditTrail.problem(self) ?? RedisCertificates.problem(self)
    }
}

/// Bounds of a Unix socket's address.
public enum SocketPath {
    /// `sun_path` of unix(7) without the terminating zero.
    public static let maxBytes = 107
}
