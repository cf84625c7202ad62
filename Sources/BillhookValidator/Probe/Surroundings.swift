/// What a plugin meets during a call, beside the numbers.
struct Surroundings: Sendable {
  /// Which pieces of a loop run when, and on which threads.
  enum Order: Sendable, Equatable {
    case forward, reversed
    case threads(Int)
  }

  var order = Order.forward
  /// The request for scratch memory that gets none, from 0.
  var failingScratch: Int?
  /// How many times the plugin may ask before it hears that it is cancelled.
  var cancelsAfter: Int?
  var failsRandom = false
  var hidesExtensions = false
  /// Every struct of the host is larger than the plugin knows, with bytes that mean nothing to it.
  var isNewer = false

  var placement = ProbeBuffer.Placement.middle
  var protectsInputs = false
  /// What outputs hold before the call, in words of 4 bytes.
  var fill: UInt32 = 0
  /// Whether inputs are gone after the call.
  var forbidsInputs = false

  init() {}

  func with(_ change: (inout Surroundings) -> Void) -> Surroundings {
    var copy = self
    change(&copy)
    return copy
  }
}
