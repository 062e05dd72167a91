"""Absolute risk and risk groups from risk scores: recalibration and cut-offs, without torch.

In: out-of-fold risks and outcomes of development patients. Out: a calibrator and cut-offs.
"""
