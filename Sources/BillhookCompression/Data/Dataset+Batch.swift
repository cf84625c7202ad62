internal import BillhookGraph
public import BillhookTensor
internal import OrderedCollections

extension Dataset {
  /// Network inputs for some samples: normalised, `[indices.count, ...]` each, float32 or what the
  /// network wants.
  ///
  /// - Parameters:
  ///   - indices: Samples, in 0..<``count``; repetitions are allowed.
  ///   - augmentation: Changes images `[N, C, H, W]`; other inputs are left alone.
  ///   - seed: Of the augmentation.
  ///   - views: Which view of each sample; one for all when it has one element, empty means view 0.
  public func batch(
    _ indices: [Int], augmentation: Augmentation? = nil, seed: UInt64 = 0, views: [Int] = []
  ) -> [String: Tensor] {
    var result: [String: Tensor] = [:]
    for (name, source) in inputs {
      defer {
        if let type = elementTypes[name], let tensor = result[name], tensor.elementType != type {
          result[name] = tensor.converted(to: type)
        }
      }
      let place = places[name]
      if place == .whole {
        result[name] = source
        continue
      }
      // One row stands for all samples.
      let indices = source.shape.first == 1 ? indices.map { _ in 0 } : indices
      switch source.elementType {
      case .uint8, .float32:
        result[name] = images(
          source, indices, augmentation: augmentation, seed: seed, views: views)
      default:
        result[name] = rows(source, indices)
      }
      if case .axis(let axis)? = place, let tensor = result[name] {
        result[name] = tensor.movingAxis(0, to: axis)
      }
    }
    return result
  }

  /// Copies rows of inputs that are not numbers to normalise, such as token ids.
  private func rows(_ source: Tensor, _ indices: [Int]) -> Tensor {
    var target = Tensor(zeros: [indices.count] + source.shape.dropFirst(), source.elementType)
    let rowBytes = source.byteCount / max(source.shape[0], 1)
    guard rowBytes > 0 else { return target }
    source.withUnsafeBytes { from in
      target.withUnsafeMutableBytes { to in
        for (row, index) in indices.enumerated() {
          let bytes = from[index * rowBytes..<(index + 1) * rowBytes]
          to[row * rowBytes..<(row + 1) * rowBytes].copyBytes(from: bytes)
        }
      }
    }
    return target
  }

  private func images(
    _ source: Tensor, _ indices: [Int], augmentation: Augmentation?, seed: UInt64, views: [Int]
  ) -> Tensor {
    let sampleShape = Array(source.shape.dropFirst())
    var target = Tensor(zeros: [indices.count] + sampleShape)
    let channels = sampleShape.count >= 1 ? sampleShape[0] : 1
    let plane = sampleShape.dropFirst().reduce(1, *)
    guard channels * plane > 0 else { return target }
    let (scale, offset) = affine(channels: channels, isBytes: source.elementType == .uint8)
    let isImage = sampleShape.count == 3
    let draws: [Augmentation.Draw]? = augmentation.flatMap { augmentation in
      guard isImage else { return nil }
      return indices.enumerated().map { row, index in
        let view = views.isEmpty ? 0 : views[views.count == 1 ? 0 : row]
        return augmentation.draw(seed: seed, sample: index, view: view)
      }
    }
    let height = isImage ? sampleShape[1] : 1
    let width = isImage ? sampleShape[2] : plane
    let size = channels * plane
    target.withUnsafeMutableElements(of: Float.self) { to in
      func fill<Element>(_ from: UnsafeBufferPointer<Element>, _ number: (Element) -> Float) {
        for (row, index) in indices.enumerated() {
          let draw = draws?[row] ?? Augmentation.Draw()
          for channel in 0..<channels {
            let start = index * size + channel * plane
            let end = row * size + channel * plane
            copyPlane(
              from, start, to, end, height: height, width: width, draw: draw,
              scale: scale[channel], offset: offset[channel], number)
          }
        }
      }
      if source.elementType == .uint8 {
        source.withUnsafeElements(of: UInt8.self) { fill($0) { Float($0) } }
      } else {
        source.withUnsafeElements(of: Float.self) { fill($0) { $0 } }
      }
    }
    return target
  }

  /// Per channel: `input · scale + offset` is the normalised number.
  private func affine(channels: Int, isBytes: Bool) -> (scale: [Float], offset: [Float]) {
    let unit: Float = isBytes ? 1 / 255 : 1
    guard let normalization else {
      return (
        [Float](repeating: unit, count: channels), [Float](repeating: 0, count: channels)
      )
    }
    let isShared = normalization.mean.count == 1
    let mean = (0..<channels).map { normalization.mean[isShared ? 0 : $0] }
    let std = (0..<channels).map { normalization.std[isShared ? 0 : $0] }
    return (std.map { unit / $0 }, zip(mean, std).map { -$0 / $1 })
  }
}

/// Copies one channel of one image, shifted and mirrored, what comes from outside being 0.
@inline(__always)
private func copyPlane<Element>(
  _ from: UnsafeBufferPointer<Element>, _ start: Int, _ to: UnsafeMutableBufferPointer<Float>,
  _ end: Int, height: Int, width: Int, draw: Augmentation.Draw, scale: Float, offset: Float,
  _ number: (Element) -> Float
) {
  if draw == Augmentation.Draw() {
    for index in 0..<height * width {
      to[end + index] = number(from[start + index]) * scale + offset
    }
    return
  }
  for y in 0..<height {
    let sourceY = y - draw.down
    for x in 0..<width {
      let shifted = x - draw.right
      let sourceX = draw.mirrored ? width - 1 - shifted : shifted
      let inside = sourceY >= 0 && sourceY < height && sourceX >= 0 && sourceX < width
      let value = inside ? number(from[start + sourceY * width + sourceX]) : 0
      to[end + y * width + x] = value * scale + offset
    }
  }
}
