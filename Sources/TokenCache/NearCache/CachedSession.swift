internal import TokenCrypto
public import Tokens
public import UnixTime

/// An accepted session as it stands in the near cache: plain numbers, and views into the cache's memory that are valid
/// until the service is called again or returns to its loop.
public struct CachedSession: BitwiseCopyable {
    public let sid: SessionID
    private let details: NearCacheDetails?
    public let generation: Int64
    private let createdAt: UnixMilliseconds
    let lastAccess: UnixMilliseconds
    let untilIdle: Milliseconds
    private let untilEnd: Milliseconds
    private var differsInAddress = false
    private var differsInAgent = false

    @inline(__always)
    init(_ entry: UnsafePointer<NearCacheEntry>, _ times: AccessTimes, now: UnixMilliseconds) {
        sid = entry.pointee.sid
        details = entry.pointee.details
        generation = entry.pointee.generation
        createdAt = entry.pointee.created
        lastAccess = times.lastAccess
        // Entries hold times of 48 bits: no difference is out of range, so none is checked.
        untilEnd = times.absoluteEnd.sinceEpoch &- now.sinceEpoch
        untilIdle = times.expireAt.sinceEpoch &- now.sinceEpoch
    }

    public var subject: UnsafeRawBufferPointer { details?.subject ?? UnsafeRawBufferPointer(start: nil, count: 0) }
    /// Nil where it was too much to keep.
    public var data: [RecordField]? { details.map { $0.data } ?? [] }

    /// Signals that differ from what the token is bound to, where that is only told.
    public var differs: [Signal] { (differsInAddress ? [.ip] : []) + (differsInAgent ? [.ua] : []) }
    public var isAsBound: Bool { !differsInAddress && !differsInAgent }
    var csrfSalt: Digest? { details?.csrfSalt }

    mutating func setDiffers(_ differs: [Signal]) {
        differsInAddress = differs.contains(.ip)
        differsInAgent = differs.contains(.ua)
    }

    // The same as in `SessionView`.
    public var created: UnixSeconds { createdAt.seconds }
    public var authTime: UnixSeconds? { details?.authTime(created: createdAt)?.seconds }
    public var modified: UnixSeconds { lastAccess.seconds }
    public var expiresIn: Seconds { max(0, untilIdle) / 1_000 }
    public var absoluteIn: Seconds { max(0, untilEnd) / 1_000 }
}

extension SessionView {
    /// - Parameter withData: whether the session's data is wanted. All of it is read then, so that costs what it is long.
    public init(_ cached: CachedSession, withData: Bool = false) {
        sid = cached.sid
        generation = cached.generation
        created = cached.created
        modified = cached.modified
        authTime = cached.authTime
        expiresIn = cached.expiresIn
        absoluteIn = cached.absoluteIn
        subject = Array(cached.subject)
        data = withData ? cached.data : nil
        differs = cached.differs
        formHolder = FormHolder(CSRFHolder(sid: cached.sid, salt: cached.csrfSalt), former: nil)
    }
}
