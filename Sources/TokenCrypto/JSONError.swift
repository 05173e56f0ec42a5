/// Why a JSON text was refused: what is wrong, and at which byte. Carries nothing of the text.
public struct JSONError: Error, Equatable, CustomStringConvertible, Sendable {
    public enum Problem: String, Sendable {
        case syntax = "not well-formed JSON"
        case unexpected = "another type is expected here"
        case number = "not a whole number from 0 to 2^53-1"
        case text = "a string that is not valid"
        case unknownMember = "a member that does not belong here"
        case duplicateMember = "a member that was there before"
        case missingMember = "a member is missing in the object that ends here"
        case value = "a value that is not allowed here"
        case trailing = "something follows the end"
    }

    public let problem: Problem
    /// From 0.
    public let offset: Int

    public init(problem: Problem, offset: Int) {
        self.problem = problem
        self.offset = offset
    }

    public var description: String { "\(problem.rawValue), at byte \(offset)" }
}
