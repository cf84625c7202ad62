internal import BillhookTensor

/// Sums over one value, channel by channel, in double precision and in the order of the data.
struct ChannelStatistics {
  /// Counted from the front, or, below 0, from the back.
  let channelAxis: Int
  private(set) var absoluteSum: [Double] = []
  private(set) var squareSum: [Double] = []
  private(set) var zeroCount: [Int] = []
  /// Numbers of each channel so far.
  private(set) var numbersPerChannel = 0

  init(channelAxis: Int) { self.channelAxis = channelAxis }

  /// Takes one batch of the value; a value without that axis is one channel.
  mutating func add(_ value: Tensor) {
    let axis = channelAxis >= 0 ? channelAxis : value.rank + channelAxis
    let hasAxis = axis >= 0 && axis < value.rank
    let channels = hasAxis ? value.shape[axis] : 1
    let inner = hasAxis ? value.shape[(axis + 1)...].reduce(1, *) : value.count
    guard channels > 0, inner > 0, value.count > 0 else { return }
    if absoluteSum.isEmpty {
      absoluteSum = [Double](repeating: 0, count: channels)
      squareSum = absoluteSum
      zeroCount = [Int](repeating: 0, count: channels)
    }
    guard absoluteSum.count == channels else { return }
    let outer = value.count / (channels * inner)
    value.asFloat32().withUnsafeElements(of: Float.self) { numbers in
      for row in 0..<outer {
        for channel in 0..<channels {
          let start = (row * channels + channel) * inner
          var absolute = 0.0
          var square = 0.0
          var zeros = 0
          for number in numbers[start..<start + inner] {
            let wide = Double(number)
            absolute += abs(wide)
            square += wide * wide
            zeros += number == 0 ? 1 : 0
          }
          absoluteSum[channel] += absolute
          squareSum[channel] += square
          zeroCount[channel] += zeros
        }
      }
    }
    numbersPerChannel += outer * inner
  }

  var absoluteMean: Tensor {
    Tensor(absoluteSum.map { Float($0 / Double(max(numbersPerChannel, 1))) })
  }
  var squaredNorm: Tensor { Tensor(squareSum.map { Float($0) }) }
  var zeroFraction: Tensor {
    Tensor(zeroCount.map { Float(Double($0) / Double(max(numbersPerChannel, 1))) })
  }
}
