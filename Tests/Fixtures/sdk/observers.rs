//! Uses each part of the Rust binding that the examples leave out: state, observed layers and
//! activations, fake quantization, and parameters of every type.
use billhook::{
    bh_layer, bh_qlayout, bh_qparams, bh_score_in, bh_tensor, failure, ActivationObserver, Call,
    Failure, FakeQuantizer, Instance, LayerObserver, Outcome, Parameter, Quantizer, Reader, Scorer,
    Stateful, Validated, Values, Writer,
};
use std::sync::Mutex;

/// Numbers that were seen, as bytes: their count, then each.
fn save(numbers: &[f64], writer: &Writer) -> Outcome {
    writer.write(&(numbers.len() as u64).to_le_bytes())?;
    numbers.iter().try_for_each(|number| writer.write(&number.to_le_bytes()))
}

fn load(reader: &Reader) -> Result<Vec<f64>, Failure> {
    let mut bytes = [0; 8];
    reader.read(&mut bytes)?;
    let count = u64::from_le_bytes(bytes);
    if count > 1 << 20 {
        return failure(billhook::E_BAD_STATE, format!("the state counts {} numbers", count));
    }
    (0..count).map(|_| reader.read(&mut bytes).map(|_| f64::from_le_bytes(bytes))).collect()
}

/// Weights times the mean strength of all inputs that the layer saw.
struct Strength {
    weights: Vec<f64>,
    is_squared: bool,
    // The sum and the count of what was seen, and in how many pieces.
    seen: Mutex<Vec<f64>>,
}

impl Instance for Strength {
    fn new(values: &Values) -> Result<Self, Failure> {
        Ok(Self {
            weights: values.f64_list(0), is_squared: values.choice(1) == 1,
            seen: Mutex::new(vec![0.0; 3]),
        })
    }
}

impl Validated for Strength {
    fn validate(values: &Values) -> Outcome {
        if values.f64_list(0).is_empty() {
            return failure(billhook::E_INVALID_ARG, "\"weights\" is empty but needs a number");
        }
        if values.string(2).len() as i64 > values.i64_list(3).iter().sum() {
            return failure(billhook::E_INVALID_ARG, "\"note\" is longer than \"lengths\" allow");
        }
        Ok(())
    }
}

impl Stateful for Strength {
    fn reset(&self, _: Call) -> Outcome {
        *self.seen.lock().unwrap() = vec![0.0; 3];
        Ok(())
    }
    fn save(&self, _: Call, writer: &Writer) -> Outcome { save(&self.seen.lock().unwrap(), writer) }
    fn load(&self, _: Call, reader: &Reader, version: u32) -> Outcome {
        let numbers = load(reader)?;
        if version != 1 || numbers.len() != 3 {
            return failure(billhook::E_BAD_STATE, format!("state {} has {} numbers", version, numbers.len()));
        }
        *self.seen.lock().unwrap() = numbers;
        Ok(())
    }
}

impl LayerObserver for Strength {
    fn observe(
        &self, call: Call, _: &bh_layer, input: Option<&bh_tensor>, _: Option<&bh_tensor>,
        _: Option<&bh_tensor>,
    ) -> Outcome {
        let input = match input {
            Some(input) => unsafe { input.elements::<f32>() },
            None => return failure(billhook::E_INVALID_ARG, "the inputs were not given"),
        };
        let sums = call.scratch::<f64>(1)?;
        sums[0] = input.iter().map(|x| x.abs() as f64).sum();
        let mut seen = self.seen.lock().unwrap();
        seen[0] += sums[0];
        seen[1] += input.len() as f64;
        seen[2] += 1.0;
        Ok(())
    }
    fn merge(&self, _: Call, other: &Reader) -> Outcome {
        let numbers = load(other)?;
        if numbers.len() != 3 { return failure(billhook::E_BAD_STATE, "a state of another kind"); }
        let mut seen = self.seen.lock().unwrap();
        for (own, number) in seen.iter_mut().zip(&numbers) { *own += number; }
        Ok(())
    }
}

impl Scorer for Strength {
    fn score(&self, _: Call, _: &bh_layer, input: &bh_score_in, scores: &bh_tensor) -> Outcome {
        let seen = self.seen.lock().unwrap();
        if seen[2] == 0.0 { return failure(billhook::E_BAD_STATE, "no inputs were observed"); }
        let factor = self.weights.iter().sum::<f64>() * seen[0] / seen[1].max(1.0);
        let (weight, out) = unsafe { ((*input.weight).elements::<f32>(), scores.elements_mut::<f32>()) };
        for (score, w) in out.iter_mut().zip(weight) {
            let size = w.abs() as f64;
            *score = ((if self.is_squared { size * size } else { size }) * factor) as f32;
        }
        Ok(())
    }
}

/// Symmetric int8, a scale a tensor; of an activation the largest magnitude of any batch.
struct Symmetric {
    seen: Mutex<Vec<f64>>,
}

impl Instance for Symmetric {
    fn new(_: &Values) -> Result<Self, Failure> { Ok(Self { seen: Mutex::new(vec![0.0]) }) }
}

impl Stateful for Symmetric {
    fn reset(&self, _: Call) -> Outcome {
        *self.seen.lock().unwrap() = vec![0.0];
        Ok(())
    }
    fn save(&self, _: Call, writer: &Writer) -> Outcome { save(&self.seen.lock().unwrap(), writer) }
    fn load(&self, _: Call, reader: &Reader, version: u32) -> Outcome {
        let numbers = load(reader)?;
        if version != 1 || numbers.len() != 1 {
            return failure(billhook::E_BAD_STATE, format!("state {} has {} numbers", version, numbers.len()));
        }
        *self.seen.lock().unwrap() = numbers;
        Ok(())
    }
}

fn largest(x: &bh_tensor) -> f64 {
    unsafe { x.elements::<f32>() }.iter().fold(0.0f64, |largest, x| largest.max(x.abs() as f64))
}

fn scale(params: &bh_qparams) -> f32 { unsafe { (*params.scale).elements::<f32>()[0] } }

impl ActivationObserver for Symmetric {
    fn observe(&self, _: Call, _: &bh_layer, x: &bh_tensor) -> Outcome {
        let mut seen = self.seen.lock().unwrap();
        seen[0] = seen[0].max(largest(x));
        Ok(())
    }
}

impl Quantizer for Symmetric {
    fn layout(&self, _: Call, _: &bh_layer, layout: &mut bh_qlayout) -> Outcome {
        let limit = (1i64 << (layout.max_bits - 1)) - 1;
        layout.formula = billhook::QFORMULA_AFFINE;
        layout.q_code = billhook::CODE_INT as u8;
        layout.q_bits = 8;
        layout.qmin = -limit;
        layout.qmax = limit;
        layout.symmetric = 1;
        layout.granularity = billhook::QGRANULARITY_TENSOR;
        layout.axis = -1;
        Ok(())
    }
    fn calibrate(
        &self, _: Call, layer: &bh_layer, layout: &bh_qlayout, x: &bh_tensor, out: &bh_qparams,
    ) -> Outcome {
        let mut range = largest(x);
        if layer.role == billhook::ROLE_ACTIVATION { range = range.max(self.seen.lock().unwrap()[0]); }
        let step = range / layout.qmax as f64;
        unsafe {
            (*out.scale).elements_mut::<f32>()[0] = if step >= 1e-30 { step as f32 } else { 1.0 };
            (*out.zero_point).elements_mut::<i8>()[0] = 0;
        }
        Ok(())
    }
    fn quantize(
        &self, _: Call, _: &bh_layer, layout: &bh_qlayout, params: &bh_qparams, x: &bh_tensor,
        q: &bh_tensor,
    ) -> Outcome {
        let scale = scale(params);
        let (x, q) = unsafe { (x.elements::<f32>(), q.elements_mut::<i8>()) };
        for (q, x) in q.iter_mut().zip(x) {
            let (low, high) = (layout.qmin as f32, layout.qmax as f32);
            // The nearest number, the even one of two: the bits of 1.5 · 2^23 leave no place for a fraction.
            let exact = (x / scale).max(low).min(high);
            *q = ((exact + 12582912.0) - 12582912.0) as i8;
        }
        Ok(())
    }
    fn dequantize(
        &self, _: Call, _: &bh_layer, _: &bh_qlayout, params: &bh_qparams, q: &bh_tensor,
        x: &bh_tensor,
    ) -> Outcome {
        let scale = scale(params);
        let (q, x) = unsafe { (q.elements::<i8>(), x.elements_mut::<f32>()) };
        for (x, q) in x.iter_mut().zip(q) { *x = *q as f32 * scale; }
        Ok(())
    }
}

impl FakeQuantizer for Symmetric {
    fn fake_quant(
        &self, _: Call, _: &bh_layer, layout: &bh_qlayout, params: &bh_qparams, x: &bh_tensor,
        y: &bh_tensor,
    ) -> Outcome {
        let scale = scale(params);
        let (x, y) = unsafe { (x.elements::<f32>(), y.elements_mut::<f32>()) };
        for (y, x) in y.iter_mut().zip(x) {
            let exact = (x / scale).max(layout.qmin as f32).min(layout.qmax as f32);
            *y = ((exact + 12582912.0) - 12582912.0) * scale;
        }
        Ok(())
    }
    fn fake_quant_grad(
        &self, _: Call, _: &bh_layer, layout: &bh_qlayout, params: &bh_qparams, x: &bh_tensor,
        grad_y: &bh_tensor, grad_x: &bh_tensor,
    ) -> Outcome {
        let scale = scale(params);
        let (x, grad_y, grad_x) =
            unsafe { (x.elements::<f32>(), grad_y.elements::<f32>(), grad_x.elements_mut::<f32>()) };
        for (index, g) in grad_x.iter_mut().enumerate() {
            let q = x[index] / scale;
            *g = if q >= layout.qmin as f32 && q <= layout.qmax as f32 { grad_y[index] } else { 0.0 };
        }
        Ok(())
    }
}

billhook::module!(
    "org.example.observers.module", "1.0.0", "Example", "0BSD",
    [
        billhook::scorer::<Strength>("org.example.strength")
            .name("Strength").summary("Weights times the mean strength of the layer's inputs.")
            .caps(billhook::CAP_DETERMINISTIC | billhook::CAP_STREAMING | billhook::CAP_MERGEABLE)
            .needs(billhook::NEED_RAW_IN)
            .granularities(billhook::GRANULARITY_BIT_ELEMENT)
            .parameter(Parameter::f64_list("weights", "Factors, which are added up.", &[0.5, 0.5], 0.0, 10.0))
            .parameter(Parameter::choice("power", "Of a weight.", &["magnitude", "square"]))
            .parameter(Parameter::string("note", "Not used.", "none"))
            .parameter(Parameter::i64_list("lengths", "How long the note may be, in parts.", &[60, 4], 0, 64))
            .validated().stateful(1).observing_layers(),
        billhook::quantizer::<Symmetric>("org.example.symmetric")
            .name("Symmetric").summary("Symmetric int8 with one scale.")
            .caps(billhook::CAP_DETERMINISTIC)
            .stateful(1).observing_activations().fake_quantizing(),
    ]
);
