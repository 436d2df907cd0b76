#!/usr/bin/env python3
"""torch's products at the shapes of Llama 3.1 8B's contractions, beside what card_bench.c prints: bf16, with CUDA graphs, weights from
memory. Exits with 3 where torch, or a GPU that it can use, is missing."""
import sys

try:
    import torch
except ImportError:
    sys.exit(3)

SHAPES = {"wq": (4096, 4096), "wk": (1024, 4096), "w_gate": (14336, 4096), "w_down": (4096, 14336), "w_head": (128256, 4096)}  # n, k
COLD = 256 << 20                # bytes of weights that take turns, more than a cache holds


def time_us(rows, n, k):
    copies = max(1, COLD // (2 * n * k)) if rows < 128 else 1
    w = [torch.randn(n, k, device="cuda", dtype=torch.bfloat16) for _ in range(copies)]
    x = torch.randn(rows, k, device="cuda", dtype=torch.bfloat16)
    y = torch.empty(rows, n, device="cuda", dtype=torch.bfloat16)
    turns = max(4, copies)
    products = lambda: [torch.matmul(x, w[i % copies].t(), out=y) for i in range(turns)]
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        products()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        products()
    for _ in range(2):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        graph.replay()
        end.record()
        torch.cuda.synchronize()
    return start.elapsed_time(end) * 1e3 / turns


def main():
    if not torch.cuda.is_available():
        return 3
    print(f"torch {torch.__version__} on {torch.cuda.get_device_name()}")
    for rows in (1, 16, 64, 256, 8192):
        for name, (n, k) in SHAPES.items():
            if name == "w_head" and rows > 64:
                continue
            us = time_us(rows, n, k)
            print(f"torch {name:<8} {rows:5} rows {us:10.2f} us {2e-3 * n * k / us:7.0f} GB/s {2e-6 * rows * n * k / us:8.2f} TFLOP/s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
