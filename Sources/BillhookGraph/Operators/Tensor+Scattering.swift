internal import BillhookTensor

extension Tensor {
  /// The tensor with updates written at flat indices, one after the other.
  func scattering(_ updates: Tensor, at places: [Int], _ reduction: ReductionKind?) -> Tensor {
    guard let reduction else {
      // Which update each element takes; without one it keeps itself.
      var source = Array(0..<count)
      for (update, place) in places.enumerated() { source[place] = count + update }
      let both = Tensor(
        bytes: withUnsafeBytes { Array($0) } + updates.withUnsafeBytes { Array($0) },
        shape: [count + updates.count], elementType)
      return both.gathered(source, shape: shape)
    }
    func apply<F: BinaryFunction>(_ function: F.Type) -> Tensor {
      func integral<T: IntegerElement>(_ type: T.Type) -> Tensor {
        var result = elements(of: type)
        for (place, update) in zip(places, updates.elements(of: type)) {
          result[place] = F.apply(result[place], update)
        }
        return Tensor(result, shape: shape)
      }
      if let type = elementType.integerType { return integral(type) }
      var result = numbers()
      for (place, update) in zip(places, updates.numbers()) {
        result[place] = F.apply(result[place], update)
      }
      return Tensor(rounding: result, shape: shape, elementType)
    }
    switch reduction {
    case .product: return apply(Product.self)
    case .maximum: return apply(Maximum.self)
    case .minimum: return apply(Minimum.self)
    default: return apply(Sum.self)
    }
  }
}
