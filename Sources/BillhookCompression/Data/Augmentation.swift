internal import BillhookTensor

/// Random changes of training images: a shift and a flip.
///
/// View `k` of sample `i` is a function of (seed, i, k) and of nothing else, so that a recorded
/// teacher sees exactly the images that the student trains on.
public struct Augmentation: Sendable, Equatable, Codable, CustomStringConvertible {
  /// The largest shift in pixels, in each direction of both axes; 0 shifts nothing. Pixels that
  /// come in from outside are 0 before normalisation.
  public var shift: Int
  /// Whether half of the views are mirrored left to right.
  public var flip: Bool
  /// The number of different views of a sample; nil draws a new one each epoch.
  public var views: Int?

  public init(shift: Int = 0, flip: Bool = false, views: Int? = nil) {
    self.shift = shift
    self.flip = flip
    self.views = views
  }

  /// "shift 2, flip, 4 views".
  public var description: String {
    var parts = ["shift \(shift)"]
    if flip { parts.append("flip") }
    if let views { parts.append("\(views) views") }
    return parts.joined(separator: ", ")
  }

  /// How one view of one sample is changed.
  struct Draw: Equatable {
    var down = 0
    var right = 0
    var mirrored = false
  }

  func draw(seed: UInt64, sample: Int, view: Int) -> Draw {
    var random = CounterRandom(
      seed: seed, stream: 0xA06_0000_0000_0000 ^ UInt64(sample) << 16 ^ UInt64(view))
    var draw = Draw()
    let span = 2 * max(shift, 0) + 1
    draw.down = random.integer(below: span) - max(shift, 0)
    draw.right = random.integer(below: span) - max(shift, 0)
    draw.mirrored = flip && random.nextWord() & 1 == 1
    return draw
  }
}
