/// What is wrong with a Redis at the moment.
struct ModelFaults {
    enum Role: String { case master, slave }
    var isDown = false
    var isPaused = false
    var role = Role.master
    /// It follows a master that there is: that tells it what runs out.
    var isReplica = false
    var loadingUntil: SimulatedTime = 0
    var busyUntil: SimulatedTime = 0
    var lacksReplicas = false
    var cannotSave = false
    var isFull = false
    var refusesClients = false
    /// The rights that a move took from the daemons' user. No file keeps them: the process forgets it as it ends.
    var fence: Fence?

    enum Fence {
        /// It may not write.
        case writing
        /// It may ask why, and no more.
        case everything

        func refuses(_ command: String, isWrite: Bool) -> Bool {
            switch self {
            case .writing: isWrite || command == "SCRIPT"
            case .everything:
                !["AUTH", "HELLO", "SELECT", "GET", "INFO", "CONFIG", "TIME", "SUBSCRIBE"].contains(command)
            }
        }
    }
}

/// The rules of the store that can be bent.
enum BentStore: String, Hashable, CaseIterable {
    case revisionUnchecked, absenceUnchecked, lateWritesAllowed, loserIsToldDone
    case touchCreates, touchAgeUnchecked, touchMovesEnd, writesMoveEnd
    case indexSkipped, indexWithoutEnd, sessionWithoutEnd
    case goneIsTakenOutAtOnce
    case tombstoneSkipped, memoDropped, previousStays, confirmationStays, rememberedDropped, sealedGarbled
    case conditionUnchecked, takenStays, addsToWhatWasRead, unknownFateIsRepeated, limitsDropped
    case epochSkipped, epochIsNotTold, epochIsNotPassedOn
    case fullRedisRefusesAccess
    case onlyBeatsAreTold, flushIsNotTold
    case anyBeatIsTaken, beatIsWrittenAgain
    case serversAreAlike, refusalsAreSilent, readOnlyIsAnyRefusal
    case replicasAreInStep, replicasAreNotAwaited, waitWritesNothing
}
