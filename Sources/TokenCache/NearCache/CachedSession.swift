internal import TokenCrypto
public import Tokens

/// An accepted session as it stands in the near cache: plain numbers, and views into the cache's memory that are valid
/// until the service is called again or returns to its loop.
public struct CachedSession: BitwiseCopyable {
    public let sid: SessionID
    private let details: NearCacheDetails?
    public let generation: Int64
    let created: Milliseconds
    let lastAccess: Milliseconds
    let untilIdle: Milliseconds
    private let untilEnd: Milliseconds
    private var differsInAddress = false
    private var differsInAgent = false

    @inline(__always)
    init(_ entry: UnsafePointer<NearCacheEntry>, _ times: AccessTimes, now: Milliseconds) {
        sid = entry.pointee.sid
        details = entry.pointee.details
        generation = entry.pointee.generation
        created = entry.pointee.created
        lastAccess = times.lastAccess
        untilEnd = times.absoluteEnd &- now
        untilIdle = times.expireAt &- now
    }

    public var subject: UnsafeRawBufferPointer { details?.subject ?? UnsafeRawBufferPointer(start: nil, count: 0) }
    /// Nil where it was too much to keep.
    public var data: [RecordField]? { details.map { $0.data } ?? [] }

    /// Signals that differ from what the token is bound to, where that is only told.
    public var differs: [Signal] { (differsInAddress ? [.ip] : []) + (differsInAgent ? [.ua] : []) }
    public var isAsBound: Bool { !differsInAddress && !differsInAgent }
    var csrfSalt: Digest? { details?.csrfSalt }

    mutating func note(_ differs: [Signal]) {
        differsInAddress = differs.contains(.ip)
        differsInAgent = differs.contains(.ua)
    }

    // The same as in `SessionView`, in seconds.
    public var createdSeconds: Int64 { created / 1_000 }
    public var authSeconds: Int64 { (details?.authTime(created: created) ?? 0) / 1_000 }
    public var modifiedSeconds: Int64 { lastAccess / 1_000 }
    public var expiresIn: Int64 { max(0, untilIdle) / 1_000 }
    public var absoluteIn: Int64 { max(0, untilEnd) / 1_000 }
}

extension SessionView {
    /// - Parameter withData: whether the session's data is wanted. All of it is read then, so that costs what it is long.
    public init(_ cached: CachedSession, withData: Bool = false) {
        sid = cached.sid
        generation = cached.generation
        created = cached.createdSeconds
        modified = cached.modifiedSeconds
        authTime = cached.authSeconds
        expiresIn = cached.expiresIn
        absoluteIn = cached.absoluteIn
        subject = Array(cached.subject)
        data = withData ? cached.data : nil
        differs = cached.differs
        csrfSalt = cached.csrfSalt
    }
}
