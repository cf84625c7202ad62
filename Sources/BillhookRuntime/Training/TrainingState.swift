public import BillhookTensor
public import OrderedCollections

/// Everything that a training run goes on from: parameters, statistics, the optimizer's moments.
///
/// Moments are in the layout that the plan's kernels chose, so a state fits the same graph, batch
/// size and kind of machine.
public struct TrainingState: Sendable {
  /// Optimizer steps taken.
  public var steps: Int
  /// Runs of the forward half, which dropout's masks are counted by.
  public var runs: Int
  /// By `parameter/NAME`, `statistic/NAME`, `first/NAME` and `second/NAME`; float32.
  public var tensors: OrderedDictionary<String, Tensor>

  public init(steps: Int, runs: Int, tensors: OrderedDictionary<String, Tensor>) {
    self.steps = steps
    self.runs = runs
    self.tensors = tensors
  }
}

extension TrainingPlan {
  /// What the plan would have to be given to go on from here.
  ///
  /// - Throws: ``RuntimeError`` when a value cannot be read.
  public func state() throws -> TrainingState {
    var tensors: OrderedDictionary<String, Tensor> = [:]
    for (index, (name, value)) in parameters.enumerated() {
      tensors["parameter/\(name)"] = try plan.read(value)
      tensors["first/\(name)"] = Tensor(updates[index].firstMoment)
      if !updates[index].secondMoment.isEmpty {
        tensors["second/\(name)"] = Tensor(updates[index].secondMoment)
      }
    }
    for (name, value) in statistics { tensors["statistic/\(name)"] = try plan.read(value) }
    return TrainingState(
      steps: Int(updates.first?.stepCount ?? 0), runs: Int(plan.runCount), tensors: tensors)
  }

  /// Goes on from a state of a plan like this one.
  ///
  /// - Returns: False, and the plan is as it was, when the state is of another network, batch size,
  ///   optimizer or kind of machine.
  /// - Throws: ``RuntimeError`` when a value cannot be written.
  public func restore(_ state: TrainingState) throws -> Bool {
    guard state.steps >= 0, state.runs >= 0, fits(state) else { return false }
    for (index, (name, value)) in parameters.enumerated() {
      try plan.write(value, state.tensors["parameter/\(name)"]!)
      updates[index].firstMoment = state.tensors["first/\(name)"]!.floats()
      if let second = state.tensors["second/\(name)"] {
        updates[index].secondMoment = second.floats()
      }
      updates[index].stepCount = Int64(state.steps)
    }
    for (name, value) in statistics { try plan.write(value, state.tensors["statistic/\(name)"]!) }
    plan.runCount = UInt64(state.runs)
    return true
  }

  private func fits(_ state: TrainingState) -> Bool {
    var expected: [String: [Int]] = [:]
    for (index, (name, value)) in parameters.enumerated() {
      expected["parameter/\(name)"] = value.shape
      expected["first/\(name)"] = [updates[index].firstMoment.count]
      if !updates[index].secondMoment.isEmpty {
        expected["second/\(name)"] = [updates[index].secondMoment.count]
      }
    }
    for (name, value) in statistics { expected["statistic/\(name)"] = value.shape }
    return state.tensors.count == expected.count
      && state.tensors.allSatisfy { name, tensor in
        tensor.elementType == .float32 && expected[name] == tensor.shape
      }
  }
}
