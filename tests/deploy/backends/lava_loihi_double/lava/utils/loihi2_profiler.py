from lava.magma.core.callback_fx import NxSdkCallbackFx


class _Probe(NxSdkCallbackFx):
    def pre_run_callback(self, board=None, var_id_to_var_model_map=None):
        pass

    def post_run_callback(self, board=None, var_id_to_var_model_map=None):
        pass


class Loihi2Activity(_Probe):
    core_idx, syn_ops, dendrite_updates = [0, 1], [7_000, 3_000], [20_000, 20_000]


class Loihi2Memory(_Probe):
    core_idx, total_mpds = [0, 1, 2], [9, 4, 0]
