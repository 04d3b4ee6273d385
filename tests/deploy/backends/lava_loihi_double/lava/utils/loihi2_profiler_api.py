import os

import numpy as np


class Loihi2HWProfiler:
    """0.5 W, of it 0.2 static, at 20 us a step; one probe a run."""

    def __init__(self, run_cfg):
        self.run_cfg, self.steps = run_cfg, None

    def _once(self, steps):
        if self.steps is not None:
            raise RuntimeError("a second probe")
        self.steps = steps

    def energy_probe(self, num_steps):
        self._once(num_steps)
        if not os.environ.get("DOUBLE_WITHOUT_POWER"):
            self.power, self.static_power = 0.5, 0.2
            self.vdd_power, self.vddm_power, self.vddio_power = 0.3, 0.15, 0.05

    def execution_time_probe(self, num_steps, t_start=1, t_end=None, dt=1, buffer_size=1024):
        self._once(num_steps)
        self.execution_time = np.full(num_steps, 20e-6)
