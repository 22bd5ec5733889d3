"""Seconds of PyTorch's training steps: the same work as bench/train.c.

    train_torch.py ARCH BATCH f32|bf16 STEPS THREADS eager|compile

channels_last, bf16 by autocast. Prints a line of JSON: seconds of each step after warm-up, largest resident set in MiB.
"""

import json
import resource
import sys
import time

import torch
import torchvision

arch, batch, precision, steps, threads, mode = sys.argv[1:7]
torch.set_num_threads(int(threads))
torch.manual_seed(1)
model = getattr(torchvision.models, arch)().to(memory_format=torch.channels_last).train()
images = torch.randn(int(batch), 3, 224, 224).to(memory_format=torch.channels_last)
labels = torch.randint(1000, (int(batch),))
optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4, foreach=True)
criterion = torch.nn.CrossEntropyLoss()
network = torch.compile(model) if mode == "compile" else model


def step():
    optimizer.zero_grad(set_to_none=True)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
        loss = criterion(network(images).float(), labels)
    loss.backward()
    optimizer.step()
    return loss.item()


for _ in range(3):
    step()
seconds = []
for _ in range(int(steps)):
    started = time.monotonic()
    step()
    seconds.append(time.monotonic() - started)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"seconds": seconds, "peak_mib": round(peak), "version": torch.__version__}))
