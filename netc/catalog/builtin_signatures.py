"""Signatures that Python cannot read, because torch implements the names in C++ or hides them behind `**kwargs`.

In: nothing. Out: texts in Python's syntax with the parameter types of `entry.Param` as annotations, for `extract`; a
name begins a line, its continuation is indented; `*dims: ints` is a parameter of type "*ints".
Guarantees: nothing by itself; a test compares each name, parameter and default with torch's operator schemas.
Leaves to others: everything that `inspect.signature` can read.
"""

FUNCTIONAL = """
adaptive_avg_pool1d(input: tensor, output_size: int*1)
avg_pool1d(input: tensor, kernel_size: int*1, stride: int*1|None = None, padding: int*1 = 0, ceil_mode: bool =
    False, count_include_pad: bool = True)
avg_pool2d(input: tensor, kernel_size: int*2, stride: int*2|None = None, padding: int*2 = 0, ceil_mode: bool =
    False, count_include_pad: bool = True, divisor_override: int|None = None)
avg_pool3d(input: tensor, kernel_size: int*3, stride: int*3|None = None, padding: int*3 = 0, ceil_mode: bool =
    False, count_include_pad: bool = True, divisor_override: int|None = None)
bilinear(input1: tensor, input2: tensor, weight: tensor, bias: tensor|None = None)
channel_shuffle(input: tensor, groups: int)
conv1d(input: tensor, weight: tensor, bias: tensor|None = None, stride: int*1 = 1, padding: int*1|str = 0, dilation:
    int*1 = 1, groups: int = 1)
conv2d(input: tensor, weight: tensor, bias: tensor|None = None, stride: int*2 = 1, padding: int*2|str = 0, dilation:
    int*2 = 1, groups: int = 1)
conv3d(input: tensor, weight: tensor, bias: tensor|None = None, stride: int*3 = 1, padding: int*3|str = 0, dilation:
    int*3 = 1, groups: int = 1)
conv_transpose1d(input: tensor, weight: tensor, bias: tensor|None = None, stride: int*1 = 1, padding: int*1 = 0,
    output_padding: int*1 = 0, groups: int = 1, dilation: int*1 = 1)
conv_transpose2d(input: tensor, weight: tensor, bias: tensor|None = None, stride: int*2 = 1, padding: int*2 = 0,
    output_padding: int*2 = 0, groups: int = 1, dilation: int*2 = 1)
conv_transpose3d(input: tensor, weight: tensor, bias: tensor|None = None, stride: int*3 = 1, padding: int*3 = 0,
    output_padding: int*3 = 0, groups: int = 1, dilation: int*3 = 1)
cosine_similarity(x1: tensor, x2: tensor, dim: int = 1, eps: float = 1e-08)
gelu(input: tensor, *, approximate: str = 'none')
hardshrink(input: tensor, lambd: float = 0.5)
linear(input: tensor, weight: tensor, bias: tensor|None = None)
logsigmoid(input: tensor)
one_hot(input: tensor, num_classes: int = -1)
pairwise_distance(x1: tensor, x2: tensor, p: float = 2.0, eps: float = 1e-06, keepdim: bool = False)
pdist(input: tensor, p: float = 2.0)
pixel_shuffle(input: tensor, upscale_factor: int)
pixel_unshuffle(input: tensor, downscale_factor: int)
prelu(input: tensor, weight: tensor)
scaled_dot_product_attention(query: tensor, key: tensor, value: tensor, attn_mask: tensor|None = None, dropout_p:
    float = 0.0, is_causal: bool = False, *, scale: float|None = None, enable_gqa: bool = False)
softplus(input: tensor, beta: float = 1.0, threshold: float = 20.0)
softshrink(input: tensor, lambd: float = 0.5)
"""

TORCH = """
addmm(input: tensor, mat1: tensor, mat2: tensor, *, beta: float = 1, alpha: float = 1)
all(input: tensor, dim: ints|None = None, keepdim: bool = False)
amax(input: tensor, dim: ints = (), keepdim: bool = False)
amin(input: tensor, dim: ints = (), keepdim: bool = False)
any(input: tensor, dim: ints|None = None, keepdim: bool = False)
argmax(input: tensor, dim: int|None = None, keepdim: bool = False)
argmin(input: tensor, dim: int|None = None, keepdim: bool = False)
argsort(input: tensor, dim: int = -1, descending: bool = False)
baddbmm(input: tensor, batch1: tensor, batch2: tensor, *, beta: float = 1, alpha: float = 1)
bmm(input: tensor, mat2: tensor)
broadcast_to(input: tensor, size: ints)
cat(tensors: tensors, dim: int = 0)
chunk(input: tensor, chunks: int, dim: int = 0)
clamp(input: tensor, min: float|tensor|None = None, max: float|tensor|None = None)
concat(tensors: tensors, dim: int = 0)
cumprod(input: tensor, dim: int, *, dtype: dtype|None = None)
cumsum(input: tensor, dim: int, *, dtype: dtype|None = None)
einsum(equation: str, *operands: tensors)
flatten(input: tensor, start_dim: int = 0, end_dim: int = -1)
flip(input: tensor, *dims: ints)
full_like(input: tensor, fill_value: float, *, dtype: dtype|None = None)
gather(input: tensor, dim: int, index: tensor)
index_select(input: tensor, dim: int, index: tensor)
lerp(input: tensor, end: tensor, weight: float|tensor)
logsumexp(input: tensor, dim: ints, keepdim: bool = False)
masked_fill(input: tensor, mask: tensor, value: float|tensor)
matmul(input: tensor, other: tensor)
max(input: tensor, dim: int|None = None, keepdim: bool = False)
mean(input: tensor, dim: ints|None = None, keepdim: bool = False, *, dtype: dtype|None = None)
median(input: tensor, dim: int|None = None, keepdim: bool = False)
meshgrid(*tensors: tensors, indexing: str = 'ij')
min(input: tensor, dim: int|None = None, keepdim: bool = False)
mm(input: tensor, mat2: tensor)
movedim(input: tensor, source: ints, destination: ints)
narrow(input: tensor, dim: int, start: int, length: int)
norm(input: tensor, p: float|None = 2, dim: ints|None = None, keepdim: bool = False)
ones_like(input: tensor, *, dtype: dtype|None = None)
permute(input: tensor, *dims: ints)
pow(input: tensor, exponent: float|tensor)
prod(input: tensor, dim: int|None = None, keepdim: bool = False, *, dtype: dtype|None = None)
rand_like(input: tensor, *, dtype: dtype|None = None)
randn_like(input: tensor, *, dtype: dtype|None = None)
repeat_interleave(input: tensor, repeats: int, dim: int|None = None)
reshape(input: tensor, *shape: ints)
roll(input: tensor, shifts: ints, dims: ints = ())
round(input: tensor, *, decimals: int = 0)
rot90(input: tensor, k: int = 1, dims: ints = (0, 1))
select(input: tensor, dim: int, index: int)
sort(input: tensor, dim: int = -1, descending: bool = False)
split(input: tensor, split_size: ints, dim: int = 0)
squeeze(input: tensor, dim: ints|None = None)
stack(tensors: tensors, dim: int = 0)
std(input: tensor, dim: ints|None = None, *, correction: int = 1, keepdim: bool = False)
sum(input: tensor, dim: ints|None = None, keepdim: bool = False, *, dtype: dtype|None = None)
swapaxes(input: tensor, axis0: int, axis1: int)
tile(input: tensor, *dims: ints)
topk(input: tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True)
transpose(input: tensor, dim0: int, dim1: int)
tril(input: tensor, diagonal: int = 0)
triu(input: tensor, diagonal: int = 0)
unbind(input: tensor, dim: int = 0)
unflatten(input: tensor, dim: int, sizes: ints)
unsqueeze(input: tensor, dim: int)
var(input: tensor, dim: ints|None = None, *, correction: int = 1, keepdim: bool = False)
where(condition: tensor, input: float|tensor, other: float|tensor)
zeros_like(input: tensor, *, dtype: dtype|None = None)
arange(start: float, end: float|None = None, step: float = 1, *, dtype: dtype|None = None)
full(size: ints, fill_value: float, *, dtype: dtype|None = None)
linspace(start: float, end: float, steps: int, *, dtype: dtype|None = None)
ones(*size: ints, dtype: dtype|None = None)
rand(*size: ints, dtype: dtype|None = None)
randn(*size: ints, dtype: dtype|None = None)
zeros(*size: ints, dtype: dtype|None = None)
addmv(input: tensor, mat: tensor, vec: tensor, *, beta: float = 1, alpha: float = 1)
aminmax(input: tensor, *, dim: int|None = None, keepdim: bool = False)
clip(input: tensor, min: float|tensor|None = None, max: float|tensor|None = None)
cdist(x1: tensor, x2: tensor, p: float = 2.0)
complex(real: tensor, imag: tensor)
count_nonzero(input: tensor, dim: ints|None = None)
cummax(input: tensor, dim: int)
cummin(input: tensor, dim: int)
diagonal(input: tensor, offset: int = 0, dim1: int = 0, dim2: int = 1)
dot(input: tensor, tensor: tensor)
empty(*size: ints, dtype: dtype|None = None)
empty_like(input: tensor, *, dtype: dtype|None = None)
eye(n: int, m: int = None, *, dtype: dtype|None = None)
kthvalue(input: tensor, k: int, dim: int = -1, keepdim: bool = False)
logcumsumexp(input: tensor, dim: int)
mode(input: tensor, dim: int = -1, keepdim: bool = False)
mv(input: tensor, vec: tensor)
nan_to_num(input: tensor, nan: float|None = None, posinf: float|None = None, neginf: float|None = None)
nanmean(input: tensor, dim: ints|None = None, keepdim: bool = False, *, dtype: dtype|None = None)
nansum(input: tensor, dim: ints|None = None, keepdim: bool = False, *, dtype: dtype|None = None)
outer(input: tensor, vec2: tensor)
polar(abs: tensor, angle: tensor)
randperm(n: int)
scatter(input: tensor, dim: int, index: tensor, src: float|tensor)
scatter_add(input: tensor, dim: int, index: tensor, src: tensor)
std_mean(input: tensor, dim: ints|None = None, *, correction: int = 1, keepdim: bool = False)
take(input: tensor, index: tensor)
take_along_dim(input: tensor, indices: tensor, dim: int|None = None)
tensor(data: any, *, dtype: dtype|None = None)
var_mean(input: tensor, dim: ints|None = None, *, correction: int = 1, keepdim: bool = False)
"""

TENSOR = """
bfloat16(input: tensor)
bool(input: tensor)
double(input: tensor)
float(input: tensor)
half(input: tensor)
int(input: tensor)
long(input: tensor)
short(input: tensor)
type_as(input: tensor, other: tensor)
contiguous(input: tensor)
expand(input: tensor, *size: ints)
expand_as(input: tensor, other: tensor)
repeat(input: tensor, *repeats: ints)
reshape_as(input: tensor, other: tensor)
to(input: tensor, dtype: dtype)
view(input: tensor, *size: ints)
view_as(input: tensor, other: tensor)
"""

# Functions of one tensor, element by element.
UNARY = """
abs acos acosh angle asin asinh atan atanh ceil clone conj cos cosh detach erf erfc erfinv exp exp2 expm1 fliplr
flipud floor frac imag isfinite isinf isnan lgamma log log10 log1p log2 logical_not neg ravel real reciprocal relu
rsqrt sigmoid sign sin sinc sinh sqrt square t tan tanh trunc view_as_complex view_as_real
"""

# Functions of two tensors, or of a tensor and a number, with broadcasting.
BINARY = """
add atan2 div eq floor_divide fmod ge gt le logical_and logical_or logical_xor lt maximum minimum mul ne remainder sub
"""
NUMBER_OPERAND = "add div eq floor_divide fmod ge gt le lt mul ne remainder sub"

LAYERS = """
GRU(input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True, batch_first: bool = False, dropout:
    float = 0.0, bidirectional: bool = False)
LSTM(input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True, batch_first: bool = False, dropout:
    float = 0.0, bidirectional: bool = False, proj_size: int = 0)
RNN(input_size: int, hidden_size: int, num_layers: int = 1, nonlinearity: str = 'tanh', bias: bool = True,
    batch_first: bool = False, dropout: float = 0.0, bidirectional: bool = False)
Identity()
"""

DATASETS = """
EMNIST(root: str, split: str, train: bool = True, download: bool = False)
ImageNet(root: str, split: str = 'train')
QMNIST(root: str, what: str|None = None, compat: bool = True, train: bool = True, download: bool = False)
"""
