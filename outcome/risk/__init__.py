"""From risk scores to absolute risk and risk groups: recalibration and cut-offs, without torch.

In: out-of-fold risks and outcomes of development patients. Out: a calibrator and cut-offs.
"""
