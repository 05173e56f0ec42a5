internal import Tokens

/// The keys in Redis, all under `redis.prefix`. The node of a server has two names of its own beside them: its beats,
/// `s:~<n>`, and the channel `none`.
struct KeyLayout {
    let prefix: [UInt8]

    /// What the keys of sessions, and of beats, begin with.
    var sessionPrefix: [UInt8] { prefix + Array("s:".utf8) }
    /// A session: a hash.
    func session(_ sid: SessionID) -> [UInt8] { sessionPrefix + sid.hex }
    /// The sessions of a subject: a sorted set; and the numbers of their logins: a hash.
    /// - Parameter isCluster: they are of one slot there.
    func index(_ index: SubjectIndex, isCluster: Bool) -> [[UInt8]] {
        let name = isCluster ? [UInt8(ascii: "{")] + index.name + [UInt8(ascii: "}")] : index.name
        return [Self.indexMark, Self.numbersMark].map { prefix + Array($0.utf8) + name }
    }
    static let indexMark = "u:"
    static let numbersMark = "n:"
    /// The mark of a captcha that was spent.
    func captcha(_ captcha: CaptchaID) -> [UInt8] { prefix + Array("x:".utf8) + captcha.hex }
    /// The marks of the daemons: a hash.
    var marks: [UInt8] { prefix + Array("d:marks".utf8) }
}
