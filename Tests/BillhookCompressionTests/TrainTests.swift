import BillhookGraph
import BillhookPlugins
import BillhookRuntime
import BillhookTensor
import BillhookTestSupport
import OrderedCollections
import Testing

@testable import BillhookCompression

/// A teacher's rows in memory: row `view · count + sample`.
private struct Rows: TeacherOutputs {
  var count: Int
  var views = 1
  var augmentation: Augmentation?
  var augmentationSeed: UInt64 = 0
  var classes = 3
  var all: [Float]

  func rows(_ indices: [Int], views: [Int]) throws -> Tensor {
    let numbers = zip(indices, views).flatMap { index, view in
      let row = view * count + index
      return all[row * classes..<(row + 1) * classes]
    }
    return Tensor(Array(numbers), shape: [indices.count, classes])
  }
}

@Suite struct TrainTests {
  private let settings = TrainSettings(
    epochs: 8, batchSize: 20, optimizer: .sgd(), schedule: LearningRateSchedule(base: 0.05), seed: 4
  )

  private func record(
    _ graph: Graph, _ data: Dataset, _ augmentation: Augmentation? = nil
  ) throws -> Rows {
    var all: [Float] = []
    try recordTeacher(graph, on: data, augmentation: augmentation, seed: 6, batchSize: 7) {
      all += $0.floats()
    }
    return Rows(
      count: data.count, views: augmentation?.views ?? 1, augmentation: augmentation,
      augmentationSeed: 6, all: all)
  }

  /// Keeps checkpoints in memory and ends the run, as a lost machine would, after some epoch.
  private final class Interrupted: TrainingCheckpoints {
    struct Stop: Error {}
    var kept: TrainingCheckpoint?
    var lastEpoch: Int?

    init(after epoch: Int) { lastEpoch = epoch }
    func latest() -> TrainingCheckpoint? { kept }
    func keep(_ checkpoint: TrainingCheckpoint) throws {
      kept = checkpoint
      if checkpoint.epochs.count == lastEpoch { throw Stop() }
    }
  }

  @Test(arguments: [1, 3, 7])
  func `an interrupted run goes on to the same network`(epoch: Int) throws {
    let data = try smallImages(60)
    let cross = try loss(["alpha": .double(1)])
    let graph = Graph.smallChain(seed: 2)
    let whole = try train(graph, loss: cross, settings: settings, data: data)
    let checkpoints = Interrupted(after: epoch)
    #expect(throws: Interrupted.Stop.self) {
      try train(graph, loss: cross, settings: settings, data: data, checkpoints: checkpoints)
    }
    checkpoints.lastEpoch = nil
    let resumed = try train(
      graph, loss: cross, settings: settings, data: data, checkpoints: checkpoints)
    #expect(resumed.record == whole.record)
    for (name, tensor) in whole.graph.constantTensors() {
      #expect(resumed.graph.constant(name)!.floats() == tensor.floats(), "\(name)")
    }
  }

  @Test func `a network learns two classes from labels`() throws {
    let data = try smallImages(200)
    let graph = Graph.smallChain(seed: 2)
    let cross = try loss(["alpha": .double(1)])
    let outcome = try train(graph, loss: cross, settings: settings, data: data)
    let before = try evaluate(graph, on: data).top1
    let after = try evaluate(outcome.graph, on: data).top1
    #expect(after > 0.85 && after > before)
    #expect(outcome.record.epochs.count == 8)
    #expect(outcome.record.epochs[7].meanLoss < outcome.record.epochs[0].meanLoss)
  }

  @Test func `the same seed gives the same bytes, another seed others`() throws {
    let data = try smallImages(60)
    func trained(_ seed: UInt64) throws -> Tensor {
      var settings = settings
      (settings.seed, settings.epochs) = (seed, 2)
      return try train(
        Graph.smallChain(), loss: loss(["alpha": .double(1)]), settings: settings, data: data
      ).graph.constant("fc.weight")!
    }
    #expect(try trained(1) == trained(1))
    #expect(try trained(1) != trained(2))
  }

  @Test func `a student follows its teacher without labels`() throws {
    let labelled = try smallImages(100)
    let data = try Dataset(name: "images", inputs: labelled.inputs)
    let teacher = try record(Graph.smallChain(seed: 8), data)
    let outcome = try train(
      Graph.smallChain(seed: 9), loss: loss(["alpha": .double(0)]), settings: settings, data: data,
      teacher: teacher)
    #expect(outcome.record.epochs[7].meanLoss < 0.7 * outcome.record.epochs[0].meanLoss)
    #expect(outcome.record.usedTeacher)
  }

  @Test func `pruned elements and channels stay exactly zero`() throws {
    let data = try smallImages(60)
    let pruned = try prune(
      Graph.smallChain(), scorer: scorer("magnitude"), settings: PruneSettings(ratio: 0.5)
    ).graph
    let before = pruned.constant("fc.weight")!.floats()
    let outcome = try train(
      pruned, loss: loss(["alpha": .double(1)]), settings: settings, data: data)
    let after = outcome.graph.constant("fc.weight")!.floats()
    #expect(zip(before, after).allSatisfy { $0 != 0 || $1 == 0 })
    #expect(zip(before, after).contains { $0 != $1 })
    #expect(outcome.record.keptZeros.map(\.tensor).contains("fc.weight"))
    var masked = PruneSettings(granularity: .channel, ratio: 0.5)
    masked.maskOnly = true
    let channels = try prune(Graph.smallChain(), scorer: scorer("magnitude"), settings: masked)
      .graph
    let trained = try train(
      channels, loss: loss(["alpha": .double(1)]), settings: settings, data: data
    ).graph
    #expect(trained.constant("bn1.bias")!.zeroCount == 2)
    #expect(trained.constant("conv1.weight")!.zeroCount == 18)
  }

  /// A last layer that starts at zero has not been trained; in a student it has been pruned.
  @Test(arguments: [false, true])
  func `weights that are all zero are trained from labels, but kept in a student`(isStudent: Bool)
    throws
  {
    let data = try smallImages(60)
    var graph = Graph.smallChain()
    let shape = graph.constant("fc.weight")!.shape
    graph.setConstant("fc.weight", Tensor(zeros: shape))
    let teacher = try isStudent ? record(Graph.smallChain(seed: 8), data) : nil
    let outcome = try train(
      graph, loss: loss(["alpha": .double(isStudent ? 0 : 1)]), settings: settings, data: data,
      teacher: teacher)
    let zeros = outcome.graph.constant("fc.weight")!.zeroCount
    #expect(isStudent ? zeros == shape.reduce(1, *) : zeros == 0)
    #expect(outcome.record.keptZeros.map(\.tensor).contains("fc.weight") == isStudent)
  }

  @Test func `samples that do not fill a last batch are left out`() throws {
    var settings = settings
    settings.epochs = 1
    let outcome = try train(
      Graph.smallChain(), loss: loss(["alpha": .double(1)]), settings: settings,
      data: smallImages(45))
    // Five of 45 samples do not fill a batch of 20.
    #expect(outcome.record.samplesPerEpoch == 40)
  }

  @Test func `with a recorded teacher only its views are drawn`() throws {
    let data = try smallImages(40)
    let augmentation = Augmentation(shift: 1, flip: true, views: 2)
    let teacher = try record(Graph.smallChain(seed: 8), data, augmentation)
    #expect(teacher.all.count == 2 * 40 * 3)
    // Row 40 + 7 is view 1 of sample 7.
    let image = data.batch([7], augmentation: augmentation, seed: 6, views: [1])["x"]!
    let logits = try outputs(Graph.smallChain(seed: 8), image)
    for (a, b) in zip(logits, teacher.all[47 * 3..<48 * 3]) { #expect(abs(a - b) < 1e-4) }
    var settings = settings
    settings.augmentation = augmentation
    let outcome = try train(
      Graph.smallChain(seed: 9), loss: loss(), settings: settings, data: data, teacher: teacher)
    #expect(outcome.record.views == 2)
  }

  @Test func `augmentation needs a record with views`() throws {
    let data = try smallImages(20)
    let teacher = try record(Graph.smallChain(), data)
    var settings = settings
    settings.augmentation = Augmentation(shift: 1)
    let kl = try loss()
    #expect(
      sentence {
        _ = try train(
          Graph.smallChain(), loss: kl, settings: settings, data: data, teacher: teacher)
      } == """
        The teacher was recorded without augmentation, so it has no outputs for shifted or flipped \
        images; record it with views, or train without augmentation.
        """)
  }

  @Test func `a loss that is not finite names epoch, step and rate`() throws {
    var settings = settings
    settings.schedule = LearningRateSchedule(base: 1e30)
    let cross = try loss(["alpha": .double(1)])
    let text = sentence {
      _ = try train(Graph.smallChain(), loss: cross, settings: settings, data: smallImages(60))
    }
    #expect(text.contains("of epoch 1 with the learning rate 1e+30; try a tenth of that rate"))
  }

  @Test func `more epochs than can be counted need a number of steps`() throws {
    var settings = settings
    settings.epochs = .max
    let cross = try loss(["alpha": .double(1)])
    let data = try smallImages(60)
    #expect(
      sentence {
        _ = try train(Graph.smallChain(), loss: cross, settings: settings, data: data)
      } == """
        The number of epochs is 9223372036854775807 but must be at most 3074457345618258602.
        """)
    settings.stepLimit = 4
    let outcome = try train(Graph.smallChain(), loss: cross, settings: settings, data: data)
    #expect(outcome.record.epochs.map(\.steps) == [3, 1])
  }

  @Test func `weights that are not finite after the last step are never handed on`() throws {
    var settings = settings
    settings.epochs = 1
    settings.optimizer = .sgd(weightDecay: 1000)
    settings.schedule = LearningRateSchedule(base: 3e38)
    let cross = try loss(["alpha": .double(1)])
    let text = sentence {
      _ = try train(Graph.smallChain(), loss: cross, settings: settings, data: smallImages(20))
    }
    #expect(text.hasPrefix("The tensor \""))
    #expect(
      text.hasSuffix(
        """
        " is not finite after training with the learning rate 3e+38; try a tenth of that rate, or \
        a warm-up.
        """))
  }

  @Test func `a teacher of other data is refused`() throws {
    let kl = try loss()
    #expect(
      sentence {
        _ = try train(
          Graph.smallChain(), loss: kl, settings: settings, data: smallImages(20),
          teacher: Rows(count: 5, all: []))
      } == """
        The teacher was recorded on 5 samples but the data "images" has 20; record it again on this \
        data.
        """)
  }

  @Test func `pruning with data re-estimates batch norm`() throws {
    let data = try smallImages(50)
    let outcome = try prune(
      Graph.smallChain(), scorer: scorer("magnitude"),
      settings: PruneSettings(granularity: .channel, ratio: 0.5, batchSize: 10), data: data)
    #expect(outcome.record.reestimatedSamples == 50)
    // The mean of what flows into the batch norm, over the whole data: batches are equally large.
    let values = try ReferenceEvaluator.run(outcome.graph, ["x": data.inputs["x"]!])
    let flow = values["conv1.out"]!.floats()
    for channel in 0..<2 {
      let sum = (0..<50).reduce(0.0) { sum, sample in
        let start = (sample * 2 + channel) * 16
        return sum + flow[start..<start + 16].reduce(0.0) { $0 + Double($1) }
      }
      let mean = outcome.graph.constant("bn1.mean")!.floats()[channel]
      #expect(abs(sum / 800 - Double(mean)) < 1e-4)
    }
  }
}
