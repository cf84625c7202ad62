public import BillhookGraph
public import BillhookPlugins
public import BillhookTensor
public import OrderedCollections

public func evaluate(
  _ graph: Graph, on data: Dataset, batchSize: Int = 250,
  progress: (any ProgressReporting)? = nil
) throws -> Evaluation { fatalError("skeleton") }

public func compare(
  _ first: Graph, _ second: Graph, on data: Dataset, batchSize: Int = 250,
  progress: (any ProgressReporting)? = nil
) throws -> Agreement { fatalError("skeleton") }

public func prune(
  _ graph: Graph, scorer: Scorer, settings: PruneSettings, data: Dataset? = nil,
  progress: (any ProgressReporting)? = nil
) throws -> PruneOutcome { fatalError("skeleton") }

public func pruneCheckpoint(
  _ tensors: OrderedDictionary<String, Tensor>, scorer: Scorer, settings: PruneSettings,
  progress: (any ProgressReporting)? = nil, write: (String, Tensor) throws -> Void
) throws -> PruneRecord { fatalError("skeleton") }

public func train(
  _ graph: Graph, loss: Loss, settings: TrainSettings, data: Dataset,
  teacher: (any TeacherOutputs)? = nil, progress: (any ProgressReporting)? = nil,
  checkpoint: ((_ epoch: Int, _ graph: Graph) throws -> Void)? = nil
) throws -> TrainOutcome { fatalError("skeleton") }

public func recordTeacher(
  _ graph: Graph, on data: Dataset, augmentation: Augmentation? = nil, seed: UInt64 = 0,
  batchSize: Int = 250, progress: (any ProgressReporting)? = nil,
  append: (Tensor) throws -> Void
) throws { fatalError("skeleton") }

public func quantize(
  _ graph: Graph, quantizer: Quantizer, settings: QuantizeSettings, data: Dataset? = nil,
  progress: (any ProgressReporting)? = nil
) throws -> QuantizeOutcome { fatalError("skeleton") }

public func quantizeCheckpoint(
  _ tensors: OrderedDictionary<String, Tensor>, quantizer: Quantizer, settings: QuantizeSettings,
  progress: (any ProgressReporting)? = nil, write: (String, Tensor) throws -> Void
) throws -> QuantizeRecord { fatalError("skeleton") }
