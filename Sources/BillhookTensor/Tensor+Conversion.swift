extension Tensor {
  /// The elements as 32-bit floats, whatever the tensor holds.
  public func floats() -> [Float] {
    switch elementType {
    case .float32: elements(of: Float.self)
    case .float64: elements(of: Double.self).map { Float($0) }
    case .float16: elements(of: Float16.self).map { Float($0) }
    case .bfloat16: bfloat16Floats()
    case .int8: elements(of: Int8.self).map { Float($0) }
    case .uint8: elements(of: UInt8.self).map { Float($0) }
    case .int16: elements(of: Int16.self).map { Float($0) }
    case .uint16: elements(of: UInt16.self).map { Float($0) }
    case .int32: elements(of: Int32.self).map { Float($0) }
    case .uint32: elements(of: UInt32.self).map { Float($0) }
    case .int64: elements(of: Int64.self).map { Float($0) }
    case .uint64: elements(of: UInt64.self).map { Float($0) }
    case .bool: withUnsafeBytes { $0.map { $0 == 0 ? 0 : 1 } }
    }
  }

  /// The elements as integers, or nil when the tensor holds floating-point numbers.
  public func integers() -> [Int]? {
    switch elementType {
    case .int8: elements(of: Int8.self).map { Int($0) }
    case .uint8: elements(of: UInt8.self).map { Int($0) }
    case .int16: elements(of: Int16.self).map { Int($0) }
    case .uint16: elements(of: UInt16.self).map { Int($0) }
    case .int32: elements(of: Int32.self).map { Int($0) }
    case .uint32: elements(of: UInt32.self).map { Int($0) }
    case .int64: elements(of: Int64.self).map { Int($0) }
    case .uint64: elements(of: UInt64.self).map { Int(truncatingIfNeeded: $0) }
    case .bool: withUnsafeBytes { $0.map { $0 == 0 ? 0 : 1 } }
    case .float16, .bfloat16, .float32, .float64: nil
    }
  }

  /// The same numbers as 32-bit floats; the tensor itself when it holds them already.
  public func asFloat32() -> Tensor {
    elementType == .float32 ? self : Tensor(floats(), shape: shape)
  }

  /// The numbers of a float32 tensor rounded to another floating-point type.
  ///
  /// - Returns: nil when `type` is not a floating-point type.
  public func asFloatingPoint(_ type: ElementType) -> Tensor? {
    let source = floats()
    switch type {
    case .float32: return Tensor(source, shape: shape)
    case .float64: return Tensor(source.map { Double($0) }, shape: shape)
    case .float16: return Tensor(source.map { Float16($0) }, shape: shape)
    case .bfloat16:
      // Round to nearest even on the 16 bits that are dropped; NaN keeps its quiet bit.
      let halves = source.map { value -> UInt16 in
        let bits = value.bitPattern
        if value.isNaN { return UInt16(truncatingIfNeeded: bits >> 16) | 0x40 }
        return UInt16(truncatingIfNeeded: (bits &+ 0x7FFF &+ ((bits >> 16) & 1)) >> 16)
      }
      return Tensor(halves, shape: shape).reinterpreted(as: .bfloat16)
    default: return nil
    }
  }

  /// The same bytes under another element type of the same size.
  public func reinterpreted(as type: ElementType) -> Tensor {
    precondition(type.byteCount == elementType.byteCount)
    // The bytes are there and the size is unchanged, so the checked initialiser cannot fail.
    return try! Tensor(storage: storage, byteOffset: byteOffset, shape: shape, type)
  }

  private func bfloat16Floats() -> [Float] {
    reinterpreted(as: .uint16).elements(of: UInt16.self)
      .map { Float(bitPattern: UInt32($0) << 16) }
  }
}
