"""The group of trainer (rank 0) and server: bytes over one socket."""

from __future__ import annotations

import socket
import time
from types import SimpleNamespace
from typing import Any

import torch

PATIENCE = 20.0  # seconds


class Communicator:
    """vLLM's `PyNcclCommunicator`, as far as it is used: `broadcast` in place, and `group`, which the client empties."""

    def __init__(self, address: str, port: int, rank: int, world_size: int) -> None:
        assert world_size == 2
        listening = None if rank else socket.create_server((address, port))
        self.rank, self.group = (
            rank,
            SimpleNamespace(store=None, socket=listening),
        )  # the port stays taken, as vLLM's does
        self.socket = _accepted(listening) if listening else _joined(address, port)
        self.socket.settimeout(PATIENCE)

    def broadcast(self, tensor: torch.Tensor, src: int) -> None:
        view = memoryview(tensor.view(torch.uint8).numpy())
        if self.rank == src:
            self.socket.sendall(view)
            return
        while view:
            count = self.socket.recv_into(view)
            assert count, "the trainer hung up"
            view = view[count:]

    def __del__(self) -> None:
        if hasattr(self, "socket"):
            self.socket.close()


def trainer_init(init_info: dict[str, Any]) -> Communicator:
    return Communicator(init_info["master_address"], init_info["master_port"], 0, init_info["world_size"])


def _accepted(listening: socket.socket) -> socket.socket:
    listening.settimeout(PATIENCE)
    return listening.accept()[0]


def _joined(address: str, port: int) -> socket.socket:
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return socket.create_connection((address, port), timeout=PATIENCE)
        except ConnectionRefusedError:  # the trainer does not listen yet
            if time.monotonic() > end:
                raise
            time.sleep(0.01)
